import { Together } from '../../common/together.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { databaseName, type Owner } from '../names.ts'
import { recorderOf } from '../recorded-by.ts'
import { readSchema } from './archives.ts'
import { type OfDatabase, writeSchema, writeSchemas } from './write-schemas.ts'

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

/** A deploy that has just ended. */
interface Recorded {
  state: { platform: string; checksum: string; how: 'deployed' | 'back' }
  database: OfDatabase
}

/** Databases that are recorded by one statement. */
const MAX_TOGETHER = 100

const recordings = new WeakMap<CatalogAccess, Together<Recorded, boolean>>()

/**
 * Records the archive that a database has now. The record is a copy of the database's own ledger, for
 * overviews. Deploys that end while others are being recorded are recorded together. The cached
 * functions of the database must be dropped, and its sessions closed, before: this gateway does
 * neither when it is notified of the record.
 * @returns true if the archive's tar.gz is kept
 */
export function recordDeploy(
  catalog: CatalogAccess,
  owner: Owner,
  { functions, ...deploy }: Omit<Recorded['state'], 'platform'> & Pick<OfDatabase, 'functions'>,
): Promise<boolean> {
  const recording =
    recordings.get(catalog) ??
    new Together((all: Recorded[]) => recordAll(catalog, all), MAX_TOGETHER)
  recordings.set(catalog, recording)
  const database = { database: databaseName(owner), functions }
  return recording.run({ state: { platform: owner.platform, ...deploy }, database })
}

/** Records deploys with one statement for each archive, in order. Returns whether each is kept. */
async function recordAll(catalog: CatalogAccess, all: Recorded[]): Promise<boolean[]> {
  const keys = all.map(({ state }) => JSON.stringify(state))
  const isKept = new Map<string, boolean>()
  for (const key of new Set(keys)) {
    const databases = all.filter((_, i) => keys[i] === key).map(({ database }) => database)
    const { state } = all[keys.indexOf(key)]!
    const write = (sql: Sql) => writeSchemas(sql, state, databases, recorderOf(catalog))
    isKept.set(key, await catalog.use(write))
  }
  return keys.map((key) => isKept.get(key)!)
}
