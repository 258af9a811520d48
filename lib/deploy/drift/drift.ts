import { concurrently } from '../../common/concurrently.ts'
import { GatewayError } from '../../errors.ts'
import { fromPostgres } from '../../postgres/errors.ts'
import type { CatalogEntry } from '../../tenancy/catalog/catalog-table.ts'
import { listSites } from '../fleet/sites.ts'
import type { DeployParts } from '../parts.ts'
import { readTemplateFacts } from '../templates/table.ts'
import { compareFacts, type Drift, describeDrift } from './compare.ts'
import { type Fact, readBoth, readDigest, readFacts } from './facts.ts'

/** Databases that are compared at the same time. */
const CONCURRENCY = 8

/** The schema that databases are compared with. */
interface Reference {
  /** The server that it is on. */
  on: DeployParts
  kind: 'template' | 'main'
  /** Checksum of its archive; null if nothing was deployed to it. */
  checksum: string | null
  schema: string | null
  digest: string
  facts: Fact[]
}

/** Databases that differ in the same way from the same reference. */
export interface Group {
  reference: Reference['kind']
  reference_checksum: string | null
  count: number
  databases: string[]
  differences: Drift[]
}

/** Result for one database. */
type Outcome =
  | { database: string; reference: Reference; differences: Drift[] }
  | { database: string; error: GatewayError }

type Entry = CatalogEntry & { checksum: string | null }

/**
 * Compares every database of a platform, on all servers, with the template of the archive deployed to
 * it. Without such a template, it compares with the newest template of the database's schema, and
 * without any with the main database, or the schema's first. Those of its own server come first. Reads
 * one digest per database, and the definitions only if the digest differs.
 * @throws {GatewayError} database_not_found if the platform has no database
 */
export async function findDrift(parts: DeployParts, platform: string) {
  const sites = await listSites(
    parts,
    platform,
    (there) => readEntries(there, platform),
    () => true,
  )
  const count = sites.reduce((sum, { targets }) => sum + targets.length, 0)
  if (count === 0) {
    throw new GatewayError('database_not_found', `Platform ${platform} has no database`)
  }
  const open = sites.flatMap((site) =>
    site.parts ? [{ parts: site.parts, entries: site.targets as Entry[] }] : [],
  )
  const references = await readReferences(open, platform)
  const outcomes: Outcome[] = sites.flatMap(({ away, targets }) =>
    away ? targets.map(({ database }) => ({ database, error: away })) : [],
  )
  await Promise.all(
    open.map(({ parts: there, entries }) =>
      concurrently(entries, CONCURRENCY, async (entry) => {
        outcomes.push(await compareOne(there, entry, references))
      }),
    ),
  )
  const groups = new Map<string, Group>()
  const unreachable: { database: string; error: string; message: string }[] = []
  let alike = 0
  for (const outcome of outcomes.sort((a, b) => (a.database < b.database ? -1 : 1))) {
    const { database } = outcome
    if ('error' in outcome) {
      const { code, message } = outcome.error
      unreachable.push({ database, error: code, message })
    } else if (outcome.differences.length === 0) alike++
    else {
      const { reference, differences } = outcome
      const key = JSON.stringify([reference.checksum, differences])
      const group = groups.get(key) ?? {
        reference: reference.kind,
        reference_checksum: reference.checksum,
        count: 0,
        databases: [],
        differences,
      }
      group.count++
      group.databases.push(database)
      groups.set(key, group)
    }
  }
  const sorted = [...groups.values()].sort((a, b) => b.count - a.count)
  return {
    platform,
    summary: summaryOf(alike, sorted, unreachable.length),
    count,
    alike,
    groups: sorted,
    unreachable,
  }
}

async function readEntries({ catalog }: DeployParts, platform: string): Promise<Entry[]> {
  const entries = await catalog.list(platform)
  const rows = await catalog.use(
    (sql) => sql<{ database: string; checksum: string | null }[]>`
      select database, schema_checksum as checksum
      from _db_gateway_databases where platform = ${platform}
    `,
  )
  const checksums = new Map(rows.map(({ database, checksum }) => [database, checksum]))
  return entries.map((entry) => ({ ...entry, checksum: checksums.get(entry.database) ?? null }))
}

/** Returns the references, newest first on each server, with at least one for each schema. */
async function readReferences(
  sites: { parts: DeployParts; entries: Entry[] }[],
  platform: string,
): Promise<Reference[]> {
  const read = sites.map(async ({ parts }): Promise<Reference[]> => {
    const templates = await parts.catalog.use((sql) => readTemplateFacts(sql, platform))
    return templates.map((one) => ({ ...one, on: parts, kind: 'template' }))
  })
  const references = (await Promise.all(read)).flat()
  for (const { parts, entries } of sites) {
    for (const entry of entries) {
      if (references.some(({ schema }) => schema === entry.schema)) continue
      references.push(await readReference(parts, entry))
    }
  }
  return references
}

async function readReference(
  parts: DeployParts,
  { database, checksum, schema }: Entry,
): Promise<Reference> {
  try {
    return await parts.pools.use(database, async (sql) => ({
      on: parts,
      kind: 'main',
      checksum,
      schema,
      ...(await readBoth(sql)),
    }))
  } catch (error) {
    throw fromPostgres(error, database)
  }
}

/** The reference of an entry: of its archive, or else of its schema, on its own server if there is one. */
function referenceOf(on: DeployParts, { checksum, schema }: Entry, all: Reference[]): Reference {
  const own = all.filter((one) => one.on === on)
  return (
    own.find((one) => one.checksum === checksum) ??
    all.find((one) => one.checksum === checksum) ??
    own.find((one) => one.schema === schema) ??
    all.find((one) => one.schema === schema)!
  )
}

async function compareOne(
  parts: DeployParts,
  entry: Entry,
  references: Reference[],
): Promise<Outcome> {
  const { database } = entry
  const reference = referenceOf(parts, entry, references)
  try {
    const facts = await parts.pools.use(database, async (sql) =>
      (await readDigest(sql)) === reference.digest ? undefined : readFacts(sql),
    )
    return { database, reference, differences: facts ? compareFacts(reference.facts, facts) : [] }
  } catch (error) {
    const failure = fromPostgres(error, database)
    if (failure instanceof GatewayError) return { database, error: failure }
    throw failure
  }
}

/** Returns a summary: "997 alike; 2 lack index public.item_name; 1 cannot be reached". */
function summaryOf(alike: number, groups: Group[], unreachable: number): string {
  return [
    `${alike} alike`,
    ...groups.map(
      ({ count, differences }) => `${count} ${describeDrift(differences, count === 1)}`,
    ),
    ...(unreachable > 0 ? [`${unreachable} cannot be reached`] : []),
  ].join('; ')
}
