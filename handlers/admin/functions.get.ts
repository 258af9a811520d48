import { defineHandler, type H3EventContext } from 'h3'
import { askServers, parseServer, serverField } from '../../lib/http/all-servers.ts'
import { answerInSlices } from '../../lib/http/answer/json-slices.ts'
import { parseChoice, parseCount, parseText, readQuery } from '../../lib/http/body/page-query.ts'
import { awayField } from '../../lib/servers/fan-in.ts'
import { databaseName, type Owner } from '../../lib/tenancy/names.ts'
import { type GivenOwner, OWNER_MEMBERS, parseNarrowed } from '../../lib/tenancy/owners.ts'
import { GROUPS } from '../../lib/usage/read.ts'
import { joinMost, limitOfEach, ORDERS } from '../../lib/usage/times/most.ts'
import {
  joinTimes,
  type ShownTimesOf,
  showTimes,
  type TimesQuery,
} from '../../lib/usage/times/read.ts'
import { STEPS } from '../../lib/usage/times/table.ts'

type Gateway = H3EventContext['gateway']

const QUERY = [
  ...OWNER_MEMBERS,
  'function',
  'by',
  'from',
  'to',
  'step',
  'order',
  'limit',
  'server',
] as const
const DEFAULT_LIMIT = 200
const MAX_LIMIT = 1000

export default defineHandler({
  meta: {
    description: 'How long the calls of functions took, over all gateways, by minute or hour',
    query: QUERY,
    request: { platform: 'clinic', step: 'minute' },
    answer: {
      platform: 'clinic',
      from: '2026-11-24T06:00:00.000Z',
      to: '2026-11-24T06:59:39.960Z',
      step: 'minute',
      by: 'function',
      order: 'database_seconds',
      functions: [
        {
          platform: 'clinic',
          database: null,
          tenant_id: null,
          function: 'ping',
          calls: 120,
          errors: 0,
          p50_ms: 0.8,
          p95_ms: 1.4,
          p99_ms: 2.2,
          max_ms: 2.3,
          database_seconds: 0.084,
          rows: 120,
          bytes: 2280,
        },
      ],
      series: [
        {
          at: '2026-11-24T06:59:00.000Z',
          calls: 120,
          errors: 0,
          p50_ms: 0.8,
          p95_ms: 1.4,
          p99_ms: 2.2,
          database_seconds: 0.084,
        },
      ],
      count: 1,
    },
  },
  async handler(event) {
    const { gateway, request } = event.context
    const query = readQuery(event, QUERY)
    const { platform, owner } = parseNarrowed(request, query as GivenOwner)
    const by = parseChoice('by', query.by, GROUPS) ?? 'function'
    const { from, to } = query
    const step = parseChoice('step', query.step, STEPS)
    const span = gateway.usage.times.span({ from, to, step })
    const asked = {
      platform,
      perDatabase: by === 'tenant',
      function: parseText('function', query.function),
      ...span,
      order: parseChoice('order', query.order, ORDERS) ?? 'database_seconds',
      limit: parseCount('limit', query.limit, MAX_LIMIT) ?? DEFAULT_LIMIT,
      mayName: request.mayName,
    }
    const meant = { server: query.server, owner }
    const { functions, series, ...away } = await readAll(gateway, meant, asked)
    return answerInSlices({
      platform: platform ?? null,
      from: span.from.toISOString(),
      to: span.to.toISOString(),
      step: span.step,
      by,
      order: asked.order,
      functions,
      series,
      count: functions.length,
      ...away,
    })
  },
})

/** Reads the functions of the only server, or adds up what all have. */
async function readAll(
  gateway: Gateway,
  meant: { server: unknown; owner: Owner | undefined },
  asked: TimesQuery,
): Promise<ShownTimesOf & { servers_away?: string[] }> {
  const queryOf = async ({ tenants }: Gateway) => ({
    ...asked,
    database: meant.owner && databaseName(await tenants.resolve(meant.owner)),
  })
  if (!gateway.servers.areSeveral) {
    parseServer(gateway.servers, meant.server)
    return gateway.usage.times.read(await queryOf(gateway))
  }
  // A function may be first in all servers together that is not the first in any.
  const limit = limitOfEach(asked.order, asked.limit, asked.perDatabase ?? false)
  const first = await askServers(gateway, meant, async (there) =>
    there.usage.times.first({ ...(await queryOf(there)), limit }),
  )
  const sums = first.answers.map(({ answer }) => answer)
  const keys = joinMost(sums, asked.order, asked.limit)
  const gathered = await askServers(gateway, meant, async (there) =>
    there.usage.times.collect(await queryOf(there), keys),
  )
  const { functions, series } = showTimes(
    joinTimes(gathered.answers.map(({ answer }) => answer)),
    asked,
  )
  const shown = functions.map((one) =>
    one.database === null ? one : { ...one, ...serverField(gateway, one.database) },
  )
  return { functions: shown, series, ...awayField(gateway.servers, gathered) }
}
