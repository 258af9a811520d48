import type { Config } from '../../config.ts'
import { GatewayError } from '../../errors.ts'
import { isPostgresError } from '../../postgres/errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import { INSUFFICIENT_PRIVILEGE } from '../../postgres/sqlstates.ts'
import { describeOwner, isSameOwner } from '../../tenancy/catalog/catalog.ts'
import { addEntry, type NewEntry, readEntry } from '../../tenancy/catalog/catalog-table.ts'
import {
  beginCreation,
  findUnfinished,
  forgetCreation,
  isAnnounced,
} from '../../tenancy/catalog/creations.ts'
import { checkNotMoving } from '../../tenancy/catalog/moved-away.ts'
import { checkNameOwner } from '../../tenancy/name-owner.ts'
import type { Owner } from '../../tenancy/names.ts'
import { databaseName } from '../../tenancy/names.ts'
import { alreadyThere, describeTaken, isSpelledAlike } from '../../tenancy/owner-identity.ts'
import { isLeftOver } from '../ledger/left-over.ts'
import type { DeployParts } from '../parts.ts'
import { isReserved } from '../templates/names.ts'
import { checkAdoptable, readUnclaimed } from './adoption.ts'
import { sequencesOf } from './copied-sequences.ts'
import { createFrom } from './create-from.ts'
import { handOver } from './handover.ts'
import { placed } from './placed.ts'
import { withDatabaseLock } from './with-lock.ts'

/** Called when a database was created, or dropped again. */
export type OnDatabase = (change: 'created' | 'dropped') => void

/** A database that was copied from a template and handed over. */
interface Copied<T> {
  result: T
  role: string | null
}

const DUPLICATE_DATABASE = '42P04'

/**
 * Makes sure that the owner's database exists. A missing database is created, `prepare` runs on it,
 * and only then does it enter the catalog. If `prepare` fails, or if `keep` is false, the database
 * is dropped again.
 * A database that exists but is missing from the catalog is created again if a killed gateway left
 * it, and is taken over if it is empty or has the ledger of a gateway, and belongs to no other
 * catalog.
 * @param copy may create the database from a template instead; `prepare` does not run then
 * @param about goes into the catalog; with `madeBy`, all spellings of the owner's id name the same
 *   tenant
 * @returns what `prepare` or `copy` returned; undefined if the owner already has the database
 * @throws {GatewayError} name_conflict if the name is taken; tenant_busy if the database is being moved
 *   to another server; any error of `prepare`
 */
export async function ensureDatabase<T>(
  parts: DeployParts,
  owner: Owner,
  prepare: (isNew: boolean) => Promise<T>,
  keep: boolean,
  onDatabase: OnDatabase = () => {},
  copy: (admin: Sql) => Promise<Copied<T> | undefined> = async () => undefined,
  about: NewEntry = {},
): Promise<T | undefined> {
  const name = databaseName(owner)
  return withDatabaseLock(parts, name, async (admin) => {
    const entry = await readEntry(admin, owner)
    // A request with another spelling may have created the database before this one got the lock.
    const isOwn = entry && (about.madeBy ? isSpelledAlike : isSameOwner)(entry, owner)
    if (entry && !isOwn) throw nameConflict(owner, name, entry)
    if (entry) checkNotMoving(entry)
    if (isReserved(name)) throw reserved(owner, name)
    let exists = entry ? await databaseExists(admin, name) : await isLeft(parts, admin, name)
    if (exists && entry) return undefined
    const make = async () => {
      if (exists) {
        const { is_empty: isEmpty } = await checkAdoptable(parts, admin, name)
        if (await isLeftOver(parts, admin, name)) {
          await dropDatabase(parts, admin, name)
          exists = await databaseExists(admin, name)
        }
        if (exists && !isEmpty) await checkNameOwner(admin, owner.platform, name)
      }
      const copied = exists || !keep ? undefined : await copy(admin)
      if (!exists && !copied) {
        await createDatabase(admin, name, parts.config)
        await beginCreation(admin, name)
      }
      if (!exists) onDatabase('created')
      let isKept = exists
      try {
        const also = exists
          ? undefined
          : sequencesOf(parts.config.baseTemplate, parts, owner.platform)
        const role = copied ? copied.role : await handOver(parts, admin, owner, also)
        const result = copied ? copied.result : await prepare(!exists)
        if (keep && !entry) {
          await addEntry(admin, owner, role, about)
          // Drops the cache entry now: the client may call before the catalog's notification comes.
          parts.catalog.forget(owner)
        }
        isKept ||= keep
        return result
      } finally {
        if (!isKept) {
          await dropDatabase(parts, admin, name)
          await forgetCreation(admin, name)
          onDatabase('dropped')
        }
      }
    }
    return keep ? placed(parts, admin, owner, make) : make()
  })
}

/**
 * Creates an empty database for the owner. A database that is missing from the catalog is treated
 * as in `ensureDatabase`.
 * @throws {GatewayError} database_already_exists, name_conflict
 */
export async function createEmpty(
  parts: DeployParts,
  owner: Owner,
  onDatabase: OnDatabase | undefined,
  about: NewEntry,
): Promise<void> {
  const make = async () => true
  const isCreated = await ensureDatabase(parts, owner, make, true, onDatabase, undefined, about)
  if (!isCreated) throw alreadyThere(owner, databaseName(owner))
}

/**
 * Whether a database that is missing from the catalog exists. Drops what a gateway left that was
 * killed during an import.
 * @param admin connection that holds the lock of the name (see `withDatabaseLock`)
 */
export async function isLeft(parts: DeployParts, admin: Sql, name: string): Promise<boolean> {
  const exists = await databaseExists(admin, name)
  if (!exists || !(await isLeftByImport(parts, admin, name))) return exists
  await dropDatabase(parts, admin, name)
  return databaseExists(admin, name)
}

/** A database that was only announced may be another one, which has the name since. */
async function isLeftByImport(parts: DeployParts, admin: Sql, name: string): Promise<boolean> {
  if ((await findUnfinished(admin, name)) === 'import') return true
  return (await isAnnounced(admin, name)) && (await readUnclaimed(parts, admin, name)).is_empty
}

/**
 * Whether the database exists. Drops the remains of an interrupted DROP DATABASE, with which
 * nothing else can be done (PostgreSQL manual, "DROP DATABASE").
 */
async function databaseExists(admin: Sql, name: string): Promise<boolean> {
  const [row] = await admin<{ is_invalid: boolean }[]>`
    select datconnlimit = -2 as is_invalid from pg_database where datname = ${name}
  `
  if (!row?.is_invalid) return row !== undefined
  await admin.unsafe(`drop database if exists ${quoteIdentifier(name)}`)
  return false
}

/**
 * Creates a database, with retries while the template has sessions. CREATE DATABASE takes no
 * parameters, so the name is quoted into the statement.
 * @throws {GatewayError} name_conflict if the database was created by another session in the
 *   meantime
 */
export async function createDatabase(
  admin: Sql,
  name: string,
  { baseTemplate, databaseCopy }: Pick<Config, 'baseTemplate' | 'databaseCopy'>,
): Promise<void> {
  const template = quoteIdentifier(baseTemplate)
  const create = `create database ${quoteIdentifier(name)} template ${template} strategy ${databaseCopy}`
  try {
    // BASE_TEMPLATE may have sessions. template0, the default, accepts none.
    await createFrom(admin, create)
  } catch (error) {
    if (isPostgresError(error) && error.code === DUPLICATE_DATABASE) throw madeMeanwhile(name)
    throw error
  }
}

/** Drops a database and ends its sessions. @throws {PostgresError} */
export async function dropDatabaseNow(
  { pools }: Pick<DeployParts, 'pools'>,
  admin: Sql,
  name: string,
): Promise<void> {
  await pools.closeDatabase(name)
  // The platform may have made it a template, which PostgreSQL does not drop.
  await admin.unsafe(`alter database ${quoteIdentifier(name)} is_template false`).catch(() => {})
  const drop = `drop database if exists ${quoteIdentifier(name)}`
  // WITH (FORCE) has to terminate a running autovacuum, which only a superuser may. A plain DROP
  // makes autovacuum give way by itself.
  await admin.unsafe(`${drop} with (force)`).catch((error) => {
    if (!isPostgresError(error) || error.code !== INSUFFICIENT_PRIVILEGE) throw error
    return admin.unsafe(drop)
  })
}

/** Drops a new database that is not kept, and ends its sessions. A failure is only logged. */
export async function dropDatabase(parts: DeployParts, admin: Sql, name: string): Promise<void> {
  try {
    await dropDatabaseNow(parts, admin, name)
  } catch (error) {
    // The client has to get the result of its deploy. The next /register takes over the empty
    // database.
    parts.log.warn('A database that is not kept could not be dropped', {
      database: name,
      cause: (error as Error).message,
    })
  }
}

/** Returns the error for a name that another owner's database has. */
export function nameConflict(owner: Owner, name: string, holder: Owner): GatewayError {
  return new GatewayError('name_conflict', describeTaken(owner, name, holder), { database: name })
}

function madeMeanwhile(name: string): GatewayError {
  return new GatewayError(
    'name_conflict',
    `Database ${name} was created by another session in the meantime; the gateway did not change it`,
    { database: name, hint: 'Drop or rename it if it is not wanted, then send the request again' },
  )
}

/** Returns the error for a name that is one of the gateway's own. */
export function reserved(owner: Owner, name: string): GatewayError {
  return new GatewayError(
    'name_conflict',
    `${describeOwner(owner)} would have the database ${name}, a name that is reserved for the gateway`,
    { database: name },
  )
}
