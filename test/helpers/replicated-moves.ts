import { afterAll, beforeAll } from 'vitest'
import { type Json, startTestGateway, type TestGateway, uniqueName } from './gateway.ts'
import { type AlikeServer, startAlikeServer } from './major-servers.ts'
import { type Files, pack } from './platforms.ts'

/** A tenant between two servers that permit logical replication. */
export interface World {
  main: AlikeServer
  eu1: AlikeServer
  gateway: TestGateway
  env: Record<string, string>
  platform: string
  tenant: { platform: string; tenant_id: string }
  /** Its database. */
  name: string
  /** Role of its platform. */
  role: string
}

/** Starts it before the tests of a file, and ends it after them. */
export function replicatedWorld(
  files: Files,
  settings: Record<string, string> = {},
  env: Record<string, string> = {},
): World {
  const platform = uniqueName('moves')
  const world = {
    platform,
    tenant: { platform, tenant_id: 'north' },
    name: `${platform}_north`,
  } as World
  beforeAll(async () => {
    const logical = { wal_level: 'logical', ...settings }
    world.main = await startAlikeServer(logical)
    world.eu1 = await startAlikeServer(logical)
    // PostgreSQL 15 has no role that may subscribe.
    for (const server of [world.main, world.eu1]) await server.query('alter role gateway superuser')
    world.env = { DATABASE_URL: world.main.uri, SERVERS: `eu1=${world.eu1.uri}`, ...env }
    world.gateway = await startTestGateway(world.env)
    await world.gateway.register(platform, await pack(files), 'north')
    const [row] = await world.main.query(
      `select pg_get_userbyid(datdba) as role from pg_database where datname = '${world.name}'`,
    )
    world.role = row!.role
  })
  afterAll(async () => {
    await world.gateway?.stop()
    await world.main?.remove()
    await world.eu1?.remove()
  })
  return world
}

const TRACES = [
  'select slot_name from pg_replication_slots',
  'select subname from pg_subscription',
  'select roname from pg_replication_origin',
  'select subname as stats from pg_stat_subscription_stats',
  'select setconfig from pg_db_role_setting where setrole <> 0 and setdatabase <> 0',
]

/** What a move may leave behind, on either server. */
export async function tracesOf(world: World): Promise<Json[]> {
  const found: Json[] = []
  for (const server of [world.main, world.eu1]) {
    for (const query of TRACES) found.push(...(await server.query(query)))
    for (const database of await server.databases()) {
      if (!database.startsWith(world.platform) && !database.startsWith('_db_gateway_moved'))
        continue
      found.push(...(await server.query('select pubname from pg_publication', database)))
    }
  }
  return found
}

/** Moves the tenant by logical replication. */
export function replicate({ gateway, tenant }: World, to: string, more: object = {}) {
  return gateway.post('/admin/move-tenant', { ...tenant, to, how: 'replicate', ...more })
}

/** Drops what a move has left on the server that the tenant came from. */
export async function dropFormer(
  { gateway, tenant, name }: World,
  server: string,
): Promise<unknown> {
  return (await gateway.post('/admin/drop-tenant', { ...tenant, confirm: name, server })).body
    .status
}

/** A move whose steps are read as they come. */
export function moveInSteps(
  url: string,
  { tenant }: World,
  to: string,
  onLine: (line: Json) => unknown = () => {},
  more: object = {},
): Promise<Json[]> {
  const lines: Json[] = []
  const read = async () => {
    const response = await fetch(`${url}/admin/move-tenant`, {
      method: 'POST',
      headers: { accept: 'application/x-ndjson', 'content-type': 'application/json' },
      body: JSON.stringify({ ...tenant, to, how: 'replicate', ...more }),
    })
    let text = ''
    for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
      const parts = (text + piece).split('\n')
      text = parts.pop()!
      for (const line of parts.filter((one) => one !== '')) {
        lines.push(JSON.parse(line))
        await onLine(lines.at(-1))
      }
    }
    return lines
  }
  return read()
}
