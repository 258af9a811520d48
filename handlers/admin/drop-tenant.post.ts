import { defineHandler, type H3Event } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { describeDrop } from '../../lib/audit/outcomes.ts'
import { dropFormer } from '../../lib/deploy/relocate/operations.ts'
import { GatewayError } from '../../lib/errors.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { goToServerOf } from '../../lib/http/server-of.ts'
import { parseFlag } from '../../lib/json/flag.ts'
import type { Json } from '../../lib/json/json.ts'
import { parseNumber } from '../../lib/json/number.ts'
import { databaseName, textOf } from '../../lib/tenancy/names.ts'
import { ownerFields } from '../../lib/tenancy/owner-identity.ts'
import { OWNER_MEMBERS, parseNamedOwner, parseNamedTenant } from '../../lib/tenancy/owners.ts'
import { describeTenant } from '../../lib/tenancy/tenants.ts'

const MEMBERS = [...OWNER_MEMBERS, 'confirm', 'dump', 'after_hours', 'server'] as const
const HOUR_MS = 60 * 60 * 1000
const MAX_HOURS = 366 * 24

export default defineHandler({
  meta: {
    description: 'Drop a tenant, now or later, with a dump of its database before',
    body: MEMBERS,
    required: ['platform', 'confirm'],
    request: { platform: 'clinic', tenant_id: 'north', confirm: 'clinic_north' },
    answer: {
      status: 'dropped',
      platform: 'clinic',
      tenant_id: 'north',
      database: 'clinic_north',
      dump: null,
    },
    errors: ['database_not_found', 'tenant_busy', 'dump_failed', 'dump_not_available'],
  },
  async handler(event) {
    const { request } = event.context
    const body = await readJsonObject(event, MEMBERS)
    const server = textOf('server', body.server)
    if (server !== '') return answerFormer(event, body, server)
    const asked = parseNamedTenant(request, body)
    const gateway = await goToServerOf(event, asked)
    const { deploys, tenants } = gateway
    const owner = await tenants.resolve(asked)
    const database = databaseName(owner)
    const isDumped = body.dump === undefined || parseFlag('dump', body.dump)
    const hours = parseNumber('after_hours', body.after_hours, [0, MAX_HOURS]) ?? 0
    request.database = database
    await tenants.read(owner)
    checkConfirmed(database, textOf('confirm', body.confirm))
    return audited(event, {
      action: 'drop_tenant',
      owner,
      asked: { dump: isDumped, ...(hours > 0 && { after_hours: hours }) },
      work: async (note) => {
        if (hours > 0) {
          if (isDumped) await deploys.checkDumps()
          const tenant = await tenants.dropLater(owner, { afterMs: hours * HOUR_MS, isDumped })
          note({ drop_at: tenant.dropAt })
          return { status: 'dropping', ...describeTenant(tenant) }
        }
        const { dump } = await deploys.dropTenant(owner, isDumped)
        note(describeDrop(dump))
        const kept = dump && {
          file: dump.file,
          size_bytes: dump.bytes,
          kept_until: dump.keptUntil,
        }
        return { status: 'dropped', ...ownerFields(owner), database, dump: kept }
      },
    })
  },
})

/** Drops what is left of a database on a server that it was moved away from. */
async function answerFormer(
  event: H3Event,
  body: { [name in (typeof MEMBERS)[number]]?: Json },
  server: string,
): Promise<object> {
  const { servers } = event.context.gateway
  const owner = parseNamedOwner(event.context.request, body)
  const database = databaseName(owner)
  event.context.request.database = database
  checkConfirmed(database, textOf('confirm', body.confirm))
  if (body.after_hours !== undefined || (body.dump && parseFlag('dump', body.dump))) {
    throw new GatewayError(
      'invalid_request',
      'server names where a former database is dropped, now and without a dump: leave dump and after_hours out',
    )
  }
  return audited(event, {
    action: 'drop_tenant',
    owner,
    asked: { server },
    work: async () => {
      await dropFormer(servers.named(server).deploys.parts, owner)
      return { status: 'dropped', ...ownerFields(owner), database, server, dump: null }
    },
  })
}

/** The name is not in the error: who drops by a script without looking gets it from the list. */
function checkConfirmed(database: string, confirm: string): void {
  if (confirm === database) return
  throw new GatewayError(
    'invalid_request',
    confirm === ''
      ? 'confirm is missing: the name of the database that is to be dropped'
      : 'confirm is not the name of the database of the tenant',
  )
}
