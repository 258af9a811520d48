import { defineHandler, type H3EventContext } from 'h3'
import { askServers, parseServer } from '../../lib/http/all-servers.ts'
import { answerInSlices } from '../../lib/http/answer/json-slices.ts'
import {
  parseChoice,
  parseCount,
  parseSwitch,
  parseText,
  readQuery,
} from '../../lib/http/body/page-query.ts'
import { awayField, isAway, whileAnswering } from '../../lib/servers/fan-in.ts'
import { databaseName, type Owner } from '../../lib/tenancy/names.ts'
import { type GivenOwner, OWNER_MEMBERS, parseNarrowed } from '../../lib/tenancy/owners.ts'
import { addDays, mergeUsage, type UsageEntry } from '../../lib/usage/merge.ts'
import { GROUPS, ORDERS, type UsageQuery } from '../../lib/usage/read.ts'
import { parseDays } from '../../lib/usage/request.ts'

type Gateway = H3EventContext['gateway']

const QUERY = [
  ...OWNER_MEMBERS,
  'by',
  'from',
  'to',
  'order',
  'days',
  'after',
  'limit',
  'server',
] as const
const DEFAULT_LIMIT = 100
const MAX_LIMIT = 1000

export default defineHandler({
  meta: {
    description: 'Who has used how much: by tenant or function, the largest first, in pages',
    query: QUERY,
    request: { platform: 'clinic', by: 'tenant' },
    answer: {
      platform: 'clinic',
      by: 'tenant',
      order: 'database_seconds',
      from: '2026-11-01',
      to: '2026-11-24',
      started_at: '2026-11-24T06:59:39.96+00:00',
      usage: [{ platform: 'clinic', tenant_id: 'north', calls: 120, database_seconds: 0.84 }],
      count: 1,
      next_after: null,
    },
  },
  async handler(event) {
    const { gateway, request } = event.context
    const query = readQuery(event, QUERY)
    const { platform, owner } = parseNarrowed(request, query as GivenOwner)
    const limit = parseCount('limit', query.limit, MAX_LIMIT) ?? DEFAULT_LIMIT
    const asked = {
      platform,
      mayName: request.mayName,
      by: parseChoice('by', query.by, GROUPS) ?? 'tenant',
      order: parseChoice('order', query.order, ORDERS) ?? 'database_seconds',
      ...parseDays(query, gateway.usage.today()),
      after: parseText('after', query.after),
      // One more tells whether there is another page.
      limit: limit + 1,
    }
    const perDay = parseSwitch('days', query.days, false)
    const { found, ...away } = await readAll(
      gateway,
      { server: query.server, owner },
      asked,
      perDay,
    )
    const page = found.slice(0, limit)
    const { by, order, from, to } = asked
    return answerInSlices({
      platform: platform ?? null,
      by,
      order,
      from,
      to,
      started_at: gateway.usage.startedAt,
      usage: page.map(({ shown }) => shown),
      count: page.length,
      next_after: found.length > limit ? page.at(-1)!.key : null,
      ...away,
    })
  },
})

/** Reads a page of the only server, or adds up what all have. */
async function readAll(
  gateway: Gateway,
  from: { server: unknown; owner: Owner | undefined },
  asked: UsageQuery,
  perDay: boolean,
): Promise<{ found: UsageEntry[]; servers_away?: string[] }> {
  const { servers } = gateway
  const owner = from.owner && (await resolve(servers, from.owner))
  const query = { ...asked, database: owner && databaseName(owner) }
  if (!servers.areSeveral) {
    parseServer(servers, from.server)
    return { found: await gateway.usage.read(query, perDay) }
  }
  // A tenant that was moved may have used something where it was.
  const { server } = from
  const gathered = await askServers(gateway, { server }, async (there) => {
    const all = { ...query, after: undefined, limit: undefined }
    const server = asked.by === 'tenant' ? { server: servers.nameOf(there) } : {}
    const entries = await there.usage.read(all, false)
    return entries.map(({ key, shown }) => ({ key, shown: { ...shown, ...server } }))
  })
  const found = mergeUsage(
    gathered.answers.map(({ answer }) => answer),
    asked,
  )
  if (asked.by === 'tenant' && server === undefined) {
    for (const { key, shown } of found) {
      const placed = servers.placements.of(key)
      if (placed !== undefined) shown.server = placed
    }
  }
  if (!perDay) return { found, ...awayField(gateway.servers, gathered) }
  const keys = found.map(({ key }) => key)
  const days = await askServers(gateway, { server }, (there) => there.usage.readDays(query, keys))
  addDays(
    found,
    days.answers.map(({ answer }) => answer),
  )
  const away = [...new Set([...gathered.away, ...days.away])]
  return { found, ...awayField(gateway.servers, { away }) }
}

/** Returns whose database an owner means; by its place alone, where its server is away. */
async function resolve(servers: Gateway['servers'], owner: Owner): Promise<Owner> {
  try {
    const there = await servers.holding(owner)
    if (!servers.areSeveral) return await there.tenants.resolve(owner)
    return await whileAnswering(there, servers.nameOf(there), () => there.tenants.resolve(owner))
  } catch (error) {
    if (isAway(error) && servers.placements.of(databaseName(owner)) !== undefined) return owner
    throw error
  }
}
