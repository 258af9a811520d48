import { defineHandler, type H3Event } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { type AskedHow, HOWS } from '../../lib/deploy/relocate/how.ts'
import { moveBetween, stopMove } from '../../lib/deploy/relocate/operations.ts'
import type { MoveRequest } from '../../lib/deploy/relocate/request.ts'
import { GatewayError } from '../../lib/errors.ts'
import { acceptsLines, streamLines } from '../../lib/http/answer/ndjson.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { clientGone } from '../../lib/http/client-gone.ts'
import { nodeOf } from '../../lib/http/request.ts'
import { goToServerOf } from '../../lib/http/server-of.ts'
import { parseFlag } from '../../lib/json/flag.ts'
import { parseNumber, parseWholeNumber } from '../../lib/json/number.ts'
import { databaseName, type Owner, textOf } from '../../lib/tenancy/names.ts'
import { describeOwner, ownerFields } from '../../lib/tenancy/owner-identity.ts'
import { OWNER_MEMBERS, parseNamedOwner } from '../../lib/tenancy/owners.ts'

const MEMBERS = [...OWNER_MEMBERS, 'to', 'how', 'hold', 'max_wait_s', 'tries', 'stop'] as const

/** Tries to hold calls at the end of a replication; some two minutes with the pauses between them. */
const TRIES = 10

export default defineHandler({
  meta: {
    description: 'Move a tenant to another server of SERVERS, by a dump or by logical replication',
    body: MEMBERS,
    required: ['platform'],
    request: { platform: 'clinic', tenant_id: 'north', to: 'eu1' },
    answer: {
      status: 'moved',
      platform: 'clinic',
      tenant_id: 'north',
      database: 'clinic_north',
      from: 'main',
      to: 'eu1',
      how: 'dump',
      why: 'a dump of 9.2 MB takes some 1.6 s, and calls may wait for 5.0 s',
      copied_bytes: 9224547,
      held_ms: 820,
      kept: '_db_gateway_moved_5f0c9a1e2b7d4c63',
      execution_time_ms: 1310,
    },
    types: ['application/x-ndjson'],
    errors: [
      'database_not_found',
      'tenant_busy',
      'name_conflict',
      'move_refused',
      'dump_not_available',
      'not_found',
    ],
  },
  async handler(event) {
    const { request } = event.context
    const body = await readJsonObject(event, MEMBERS)
    const asked = parseNamedOwner(request, body)
    const main = event.context.gateway
    if (parseFlag('stop', body.stop)) return stop(event, asked)
    const toName = parseTarget(main.servers, textOf('to', body.to))
    const how = parseHow(textOf('how', body.how ?? 'auto'))
    const isHeld = parseFlag('hold', body.hold)
    const most = main.config.poolWaitTimeoutMs / 1000
    const maxWaitS = parseNumber('max_wait_s', body.max_wait_s, [0.1, most]) ?? most
    const tries = parseWholeNumber('tries', body.tries, [1, 1000]) ?? TRIES
    const gateway = await goToServerOf(event, asked)
    const owner = await gateway.tenants.resolve(asked)
    const database = databaseName(owner)
    request.database = database
    const from = main.servers.nameOf(gateway)
    const gone = clientGone(event)
    if (from === toName) {
      throw new GatewayError('invalid_request', `${describeOwner(owner)} is on the server ${from}`)
    }
    const move = (onStep: MoveRequest['onStep']) =>
      audited(event, {
        action: 'move_tenant',
        owner,
        asked: { from, to: toName, how, ...(isHeld && { hold: true }) },
        work: async (note) => {
          const started = performance.now()
          const wanted = { owner, how, isHeld, maxWaitMs: 1000 * maxWaitS, tries, gone, onStep }
          const moved = await moveBetween(main.servers, from, toName, wanted)
          const { bytes, heldMs, kept, why, refusal } = moved
          note({ how: moved.how, copied_bytes: bytes, held_ms: heldMs, kept })
          return {
            status: 'moved',
            ...ownerFields(owner),
            database,
            from,
            to: toName,
            how: moved.how,
            ...(why && { why }),
            copied_bytes: bytes,
            held_ms: heldMs,
            kept,
            ...(refusal && { warnings: [refusal.message] }),
            execution_time_ms: Math.round(performance.now() - started),
          }
        },
        describe: () => ({ databases: [database] }),
      })
    if (!acceptsLines(nodeOf(event).req)) return move(() => {})
    return streamLines(main.log, (write) =>
      move((step, about) => write({ status: 'running', step, ...about })),
    )
  },
})

/** Gives a move up that is not past its cutover. */
async function stop(event: H3Event, asked: Owner): Promise<object> {
  const { servers } = event.context.gateway
  const there = await servers.holding(asked)
  const owner = await there.tenants.resolve(asked)
  return audited(event, {
    action: 'move_tenant',
    owner,
    asked: { stop: true },
    work: async () => {
      if (await stopMove(servers, owner)) return { status: 'stopping', ...ownerFields(owner) }
      const message = `${describeOwner(owner)} is not being moved, or is moved already`
      throw new GatewayError('not_found', message)
    },
  })
}

/** @throws {GatewayError} invalid_request */
function parseHow(how: string): AskedHow {
  const known = HOWS.find((one) => one === how)
  if (known) return known
  throw new GatewayError('invalid_request', `how must be one of ${HOWS.join(', ')}`)
}

/** @throws {GatewayError} invalid_request, naming the servers */
function parseTarget(
  servers: { names(): string[]; checkName(field: string, name: string): string },
  to: string,
): string {
  const [only, ...others] = servers.names()
  if (others.length > 0 || to === only) return servers.checkName('to', to)
  throw new GatewayError('invalid_request', 'There is one server alone: SERVERS names no other')
}
