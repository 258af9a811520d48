import { withinMs } from '../common/within.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import type { Labels } from '../tenancy/labels.ts'
import { databaseName, type Owner } from '../tenancy/names.ts'
import { MAIN_SERVER, MEASURES, type Measure, type PlacementLabel } from './parse-servers.ts'

/** What the choice needs of the parts of a server. */
interface Member {
  catalog: { use<T>(work: (sql: Sql) => Promise<T>): Promise<T> }
  pools: { status(): { connections: number; waiting: number }; capacity: number }
}

/** What the choice needs of the servers. */
interface AllServers<G> {
  entries(): { name: string; parts: G | undefined }[]
  placements: { of(database: string): string | undefined }
}

/** The settings PLACEMENT and PLACEMENT_LABELS. */
export interface PlacementSettings {
  placement: string
  placementLabels: PlacementLabel[]
}

/** How long a server may take to say how full it is; it is not chosen otherwise. */
const PATIENCE_MS = 2000

/** How long the size of a server's databases is taken for right. */
const SIZE_AGE_MS = 60_000

/**
 * Returns the name of the server for a new database: that of the first label of PLACEMENT_LABELS that it
 * has, or else that of the platform's main database if that is not `main`, or else by PLACEMENT. A
 * server that does not answer is not chosen for its room; `main` if none answers.
 */
export async function chooseServer<G extends Member>(
  servers: AllServers<G>,
  { placement, placementLabels }: PlacementSettings,
  { platform }: Owner,
  labels: Labels,
): Promise<string> {
  const labelled = placementLabels.find(({ key, value }) => labels[key] === value)
  if (labelled) return labelled.server
  const main = databaseName({ platform, tenantId: null, schema: null })
  const ofMain = servers.placements.of(main)
  if (ofMain !== undefined) return ofMain
  const measure = MEASURES.find((one) => one === placement)
  return measure ? mostRoom(servers, measure) : placement
}

async function mostRoom<G extends Member>(
  servers: AllServers<G>,
  measure: Measure,
): Promise<string> {
  const measured = await Promise.all(
    servers.entries().map(async ({ name, parts }) => {
      const used = parts && (await withinMs(PATIENCE_MS, measureOf(parts, measure)))
      return { name, used }
    }),
  )
  let best: { name: string; used: number } | undefined
  for (const { name, used } of measured) {
    if (used !== undefined && (!best || used < best.used)) best = { name, used }
  }
  return best?.name ?? MAIN_SERVER
}

/** Returns how full a server is; undefined if it does not answer. */
async function measureOf(parts: Member, measure: Measure): Promise<number | undefined> {
  try {
    if (measure === 'bytes') return await sizeOf(parts)
    // A server that is away has no load.
    const [row] = await parts.catalog.use(
      (sql) => sql<[{ n: number }]>`select count(*)::integer as n from _db_gateway_databases`,
    )
    if (measure === 'databases') return row.n
    const { connections, waiting } = parts.pools.status()
    return (connections + waiting) / parts.pools.capacity
  } catch {
    return undefined
  }
}

interface Size {
  bytes: number
  databases: number
  at: number
}

const sizes = new WeakMap<Member, Size>()

/**
 * Returns the bytes of the databases in a server's catalog. PostgreSQL looks at each of their files, so
 * they are counted once a minute; those that were made since count as the others do on average.
 */
async function sizeOf(parts: Member): Promise<number> {
  let known = sizes.get(parts)
  if (!known || performance.now() - known.at > SIZE_AGE_MS) {
    const [row] = await parts.catalog.use(
      (sql) => sql<[{ bytes: number; databases: number }]>`
        select coalesce(sum(pg_database_size(d.oid)), 0)::float8 as bytes,
          count(*)::integer as databases
        from _db_gateway_databases c join pg_database d on d.datname = c.database
      `,
    )
    known = { ...row, at: performance.now() }
    sizes.set(parts, known)
  }
  const [now] = await parts.catalog.use(
    (sql) => sql<[{ n: number }]>`select count(*)::integer as n from _db_gateway_databases`,
  )
  const mean = known.databases === 0 ? MEAN_BYTES : known.bytes / known.databases
  return known.bytes + (now.n - known.databases) * mean
}

/** Size of a small database, in bytes: for a server that has none yet. */
const MEAN_BYTES = 8 * 1024 * 1024
