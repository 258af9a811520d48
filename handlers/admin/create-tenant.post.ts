import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { describeRegister } from '../../lib/audit/outcomes.ts'
import { functionsChanged } from '../../lib/deploy/result.ts'
import { GatewayError } from '../../lib/errors.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { originOf } from '../../lib/http/request.ts'
import {
  goToServerFor,
  makeThere,
  ownServerField,
  parseWantedServer,
} from '../../lib/http/server-of.ts'
import { parseFlag } from '../../lib/json/flag.ts'
import { parseLabels } from '../../lib/tenancy/labels.ts'
import {
  databaseName,
  type Given,
  parsePlatform,
  parseTenantId,
  textOf,
} from '../../lib/tenancy/names.ts'

const MEMBERS = ['platform', 'tenant_id', 'labels', 'deploy', 'if_exists', 'server'] as const

export default defineHandler({
  meta: {
    description: 'Create the database of a new tenant: empty, or with the newest schema',
    body: MEMBERS,
    required: ['platform', 'tenant_id'],
    request: { platform: 'clinic', tenant_id: 'north', deploy: true, labels: { plan: 'pro' } },
    status: 201,
    answer: {
      status: 'created',
      database: 'clinic_north',
      labels: { plan: 'pro' },
      checksum: '0cbc175b9c0f1b6831e9c86c9d36ae2d',
      message: 'The newest schema of the platform is in place.',
    },
    errors: ['not_found', 'database_already_exists', 'name_conflict'],
  },
  async handler(event) {
    const { request } = event.context
    const body = await readJsonObject(event, MEMBERS)
    const owner = {
      platform: parsePlatform(request, body.platform),
      tenantId: parseTenantId(body.tenant_id),
      schema: null,
    }
    const labels = parseLabels(body.labels)
    const hasSchema = parseFlag('deploy', body.deploy)
    const mayExist = parseIfExists(body.if_exists)
    const database = databaseName(owner)
    request.database = database
    const server = parseWantedServer(body.server)
    const wanted = { owner, server, labels, isRecorded: true }
    await goToServerFor(event, wanted)
    const { isNew, deployed } = await audited(event, {
      action: 'create_tenant',
      owner,
      asked: {
        ...(body.labels && { labels }),
        ...(hasSchema && { deploy: true }),
        ...(server !== undefined && { server }),
        ...(mayExist && { if_exists: 'ok' }),
      },
      work: async (note) => {
        const created = await makeThere(event, wanted, ({ deploys }) =>
          deploys.createTenant({
            owner,
            labels,
            hasSchema,
            mayExist,
            origin: originOf(request),
            onDatabase: (change) => note({ [`database_${change}`]: true }),
          }),
        )
        event.res.status = created.isNew ? 201 : 200
        return created
      },
      describe: (done) => describeRegister(done?.deployed?.result),
    })
    return {
      status: isNew ? 'created' : 'exists',
      database,
      ...ownServerField(event),
      ...(body.labels && { labels: (await event.context.gateway.tenants.read(owner)).labels }),
      ...(deployed && {
        checksum: deployed.checksum,
        migrations_applied: deployed.result.migrationsApplied.length,
        functions_changed: functionsChanged(deployed.result),
        warnings: deployed.result.warnings,
      }),
      message: messageOf(isNew, deployed !== undefined),
    }
  },
})

function messageOf(isNew: boolean, isDeployed: boolean): string {
  if (isDeployed) return 'The newest schema of the platform is in place.'
  return isNew
    ? 'Database created. Run /register or /migrate to deploy schema.'
    : 'The tenant has a database already.'
}

function parseIfExists(value: Given): boolean {
  const text = textOf('if_exists', value)
  if (text === 'ok' || text === '' || text === 'error') return text === 'ok'
  throw new GatewayError('invalid_request', 'if_exists must be "ok" or "error"')
}
