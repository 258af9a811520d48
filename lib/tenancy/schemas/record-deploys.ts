import type { Sql } from '../../postgres/pools/connection.ts'
import { databaseName, type Owner } from '../names.ts'
import { type NewSchema, readSchema, writeSchema } from './archives.ts'

/** Runs work in the administrative database. */
interface CatalogAccess {
  use<T>(work: (sql: Sql) => Promise<T>): Promise<T>
}

/**
 * Records an archive that was found in a database, if the catalog does not have it. The catalog lacks
 * it if a gateway was killed right after its deploy, or if the database was restored from a backup.
 * @returns `isKept`: the archive is kept, or was; `isNews`: the catalog did not have it; `hasFailed`: the
 *   last deploy that is recorded failed
 */
export async function confirmDeploy(
  catalog: CatalogAccess,
  owner: Owner,
  checksum: string,
): Promise<{ isKept: boolean; isNews: boolean; hasFailed: boolean }> {
  const schema = { database: databaseName(owner), platform: owner.platform, checksum }
  const known = await catalog.use((sql) => readSchema(sql, schema))
  const { hasFailed } = known
  if (known.isWritten) return { isKept: known.isKept, isNews: false, hasFailed }
  const how = { seen: true as const, instead: known.instead }
  const isKept = await catalog.use((sql) => writeSchema(sql, { ...schema, how }))
  return { isKept, isNews: true, hasFailed }
}

/**
 * Records the archive that a database has now. The record is a copy of the database's own ledger, for
 * overviews.
 * @returns true if the archive's tar.gz is kept
 */
export async function recordDeploy(
  catalog: CatalogAccess,
  owner: Owner,
  schema: Omit<NewSchema, 'database' | 'platform'>,
): Promise<boolean> {
  const { platform } = owner
  return catalog.use((sql) =>
    writeSchema(sql, { ...schema, database: databaseName(owner), platform }),
  )
}
