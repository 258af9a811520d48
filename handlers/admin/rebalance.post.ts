import { defineHandler } from 'h3'
import { GatewayError } from '../../lib/errors.ts'
import { answerInSlices } from '../../lib/http/answer/json-slices.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { parseFlag } from '../../lib/json/flag.ts'
import type { Json } from '../../lib/json/json.ts'
import { jsonOf } from '../../lib/json/text.ts'
import { readPlaced } from '../../lib/servers/read-placed.ts'
import { MEASURES, type Measure, planRebalance } from '../../lib/servers/rebalance.ts'
import { textOf } from '../../lib/tenancy/names.ts'

const MEMBERS = ['by', 'servers', 'dry_run'] as const

export default defineHandler({
  meta: {
    description: 'Plan moves after which the servers of SERVERS have alike much; moves nothing',
    body: MEMBERS,
    required: [],
    request: { by: 'databases', dry_run: true },
    answer: {
      status: 'dry_run',
      by: 'databases',
      moves: [
        {
          platform: 'clinic',
          tenant_id: 'north',
          schema_name: null,
          database: 'clinic_north',
          bytes: 9224547,
          from: 'main',
          to: 'eu1',
        },
      ],
      count: 1,
      moved_bytes: 9224547,
      before: [
        { server: 'main', databases: 3, bytes: 27673641, load: 1200 },
        { server: 'eu1', databases: 1, bytes: 9224547, load: 0 },
      ],
      after: [
        { server: 'main', databases: 2, bytes: 18449094, load: 800 },
        { server: 'eu1', databases: 2, bytes: 18449094, load: 400 },
      ],
      servers_away: [],
    },
  },
  async handler(event) {
    const body = await readJsonObject(event, MEMBERS)
    const { gateway, request } = event.context
    const { servers } = gateway
    if (body.dry_run !== undefined && !parseFlag('dry_run', body.dry_run)) {
      throw new GatewayError(
        'invalid_request',
        'dry_run cannot be false: the answer is a plan, and POST /admin/move-tenant moves each tenant of it',
      )
    }
    const by = parseMeasure(textOf('by', body.by))
    const names = parseServers(body.servers, servers.names())
    const away: string[] = []
    const found = await Promise.all(
      names.map(async (name) => {
        try {
          return await servers.named(name).catalog.use((sql) => readPlaced(sql, name))
        } catch (error) {
          if (!(error instanceof GatewayError) || error.code !== 'connection_failed') throw error
          away.push(name)
          return []
        }
      }),
    )
    const there = found.flat()
    const totals = there.map((one) => one.totals)
    const movable = there
      .flatMap((one) => one.movable)
      .filter(({ platform }) => request.mayName?.(platform) ?? true)
    const plan = planRebalance(totals, movable, by)
    return answerInSlices({
      status: 'dry_run',
      by,
      moves: plan.moves,
      count: plan.moves.length,
      moved_bytes: plan.moves.reduce((sum, { bytes }) => sum + bytes, 0),
      before: plan.before,
      after: plan.after,
      servers_away: away,
    })
  },
})

function parseMeasure(text: string): Measure {
  const by = MEASURES.find((one) => one === (text || 'databases'))
  if (by) return by
  throw new GatewayError('invalid_request', `by must be one of ${MEASURES.join(', ')}`)
}

/** @throws {GatewayError} invalid_request, naming the servers */
function parseServers(given: Json | undefined, names: string[]): string[] {
  if (given === undefined || given.kind === 'null') return names
  const asked: unknown = given.kind === 'array' ? JSON.parse(jsonOf(given)) : undefined
  const isList = Array.isArray(asked) && asked.length >= 2 && new Set(asked).size === asked.length
  if (isList && asked.every((one) => names.includes(one))) return asked
  throw new GatewayError(
    'invalid_request',
    `servers must be a list of two or more of ${names.join(', ')}`,
  )
}
