import { concurrently } from '../../common/concurrently.ts'
import type { Log } from '../../log.ts'
import { isPostgresError } from '../../postgres/errors.ts'
import type { Pools } from '../../postgres/pools/pools.ts'
import { UNDEFINED_TABLE } from '../../postgres/sqlstates.ts'
import type { Catalog } from '../../tenancy/catalog/catalog.ts'
import { type NewSchema, writeSchema } from '../../tenancy/schemas/archives.ts'
import { readInPlace } from './ledger.ts'

/** A database of which the catalog has a copy of what its ledger says. */
export interface Copied {
  database: string
  platform: string
  role: string | null
  /** By the catalog. */
  schemaChecksum: string | null
  /** The database is another one than that of which the copy is: one that was restored. */
  isStale: boolean
}

/** Databases that are asked at once. */
const CONCURRENCY = 8

/**
 * Reads in the databases' own ledgers which archive they have, and mends the catalog where it says
 * something else.
 * @returns the databases that could not be asked
 */
export async function lookAt(
  {
    pools,
    catalog,
    log,
  }: {
    pools: Pick<Pools, 'use'>
    catalog: Pick<Catalog, 'use' | 'note'>
    log: Log
  },
  databases: Copied[],
): Promise<Set<string>> {
  const silent = new Set<string>()
  await concurrently(databases, CONCURRENCY, async (one) => {
    const { database, platform } = one
    catalog.note(one)
    try {
      const found = await pools.use(database, readInPlace).catch((error: unknown) => {
        // Nothing was ever deployed to it.
        if (isPostgresError(error) && error.code === UNDEFINED_TABLE) return undefined
        throw error
      })
      const checksum = found?.checksum ?? null
      if (checksum === one.schemaChecksum && !one.isStale) return
      const schema: NewSchema = {
        database,
        platform,
        checksum,
        how: { seen: true, instead: one.schemaChecksum },
        deployedAt: found?.deployedAt,
      }
      await catalog.use((sql) => writeSchema(sql, schema))
    } catch (error) {
      silent.add(database)
      log.warn('A database could not be asked which archive it has', {
        database,
        cause: (error as Error).message,
      })
    }
  })
  return silent
}
