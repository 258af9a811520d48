import type { Config } from '../../config.ts'
import { GatewayError } from '../../errors.ts'
import { fromPostgres, isPostgresError } from '../../postgres/errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import { INSUFFICIENT_PRIVILEGE } from '../../postgres/sqlstates.ts'
import { describeOwner, isSameOwner } from '../../tenancy/catalog/catalog.ts'
import { addEntry, readEntry } from '../../tenancy/catalog/catalog-table.ts'
import { beginCreation, forgetCreation } from '../../tenancy/catalog/creations.ts'
import { checkNameOwner } from '../../tenancy/name-owner.ts'
import type { Owner } from '../../tenancy/names.ts'
import { databaseName } from '../../tenancy/names.ts'
import { alreadyThere, describeTaken, isSpelledAlike } from '../../tenancy/owner-identity.ts'
import { isLeftOver } from '../ledger/left-over.ts'
import type { DeployParts } from '../parts.ts'
import { isReserved } from '../templates/names.ts'
import { checkAdoptable } from './adoption.ts'
import { handOver } from './handover.ts'

/** Told of a database that was created, or dropped again. */
export type OnDatabase = (change: 'created' | 'dropped') => void

/** A database that is made and handed over. */
interface Copied<T> {
  result: T
  role: string | null
}

const ADMIN_WAIT_MS = 60_000
const CREATE_ATTEMPTS = 5

/** BASE_TEMPLATE has sessions: object_in_use. In template0, the default, there can be none. */
const OBJECT_IN_USE = '55006'
const DUPLICATE_DATABASE = '42P04'

/**
 * Sees to it that the owner's database exists. One that does not is created and, before anybody
 * else can find it in the catalog, `prepare` is run on it; if that fails, or with `keep` false, the
 * database is dropped again. One that is there already, but not in the catalog, is made anew where a
 * killed gateway has left it, and taken over where it is empty or has the ledger of a gateway, and is
 * of no other catalog. `copy` may make a new one that needs no more, instead. With `madeBy` the
 * spellings of the owner's id are one tenant.
 * @returns what `prepare` returned; undefined where the owner has the database already
 * @throws {GatewayError} name_conflict where the name is taken; what `prepare` throws
 */
export async function ensureDatabase<T>(
  parts: DeployParts,
  owner: Owner,
  prepare: (isNew: boolean) => Promise<T>,
  keep: boolean,
  onDatabase: OnDatabase = () => {},
  copy: (admin: Sql) => Promise<Copied<T> | undefined> = async () => undefined,
  madeBy: 'database_id' | null = null,
): Promise<T | undefined> {
  const name = databaseName(owner)
  return withDatabaseLock(parts, name, async (admin) => {
    const entry = await readEntry(admin, owner)
    // Another spelling may have come between the look at the catalog and the lock.
    const isOwn = entry && (madeBy ? isSpelledAlike : isSameOwner)(entry, owner)
    if (entry && !isOwn) throw nameConflict(owner, name, entry)
    if (isReserved(name)) throw reserved(owner, name)
    let exists = await databaseExists(admin, name)
    if (exists && entry) return undefined
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
      const role = copied ? copied.role : await handOver(parts, admin, owner)
      const result = copied ? copied.result : await prepare(!exists)
      if (keep && !entry) {
        await addEntry(admin, owner, role, madeBy)
        // Before its own notification comes: the client that created it may call at once.
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
  })
}

/**
 * Creates an empty database for the owner. One that is in no catalog is made anew, or taken over, as
 * above.
 * @throws {GatewayError} database_already_exists, name_conflict
 */
export async function createTenant(
  parts: DeployParts,
  owner: Owner,
  onDatabase: OnDatabase,
): Promise<string> {
  const name = databaseName(owner)
  const isCreated = await ensureDatabase(parts, owner, async () => true, true, onDatabase)
  if (isCreated) return name
  throw alreadyThere(owner, name)
}

/**
 * Runs `work` while no other gateway creates or drops the database of that name. The lock is the
 * session's: it is gone with the connection, whatever happens.
 */
export async function withDatabaseLock<T>(
  parts: DeployParts,
  name: string,
  work: (admin: Sql) => Promise<T>,
): Promise<T> {
  const lease = await parts.pools.lease(parts.server.database, {
    waitMs: ADMIN_WAIT_MS,
  })
  try {
    await lease.sql`select set_config('statement_timeout', '0', false)`
    await lease.sql`select pg_advisory_lock(hashtext('_db_gateway_database'), hashtext(${name}))`
    return await work(lease.sql)
  } catch (error) {
    throw fromPostgres(error, name)
  } finally {
    await lease.discard()
  }
}

/**
 * Whether the database exists. What is left of one whose drop was cut in the middle is removed:
 * nothing else can be done with it (PostgreSQL manual, "DROP DATABASE").
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
 * `create database` runs outside of transactions, so its name cannot be a parameter.
 * @throws {GatewayError} name_conflict where somebody else has made it meanwhile
 */
export async function createDatabase(
  admin: Sql,
  name: string,
  { baseTemplate, databaseCopy }: Pick<Config, 'baseTemplate' | 'databaseCopy'>,
): Promise<void> {
  const template = quoteIdentifier(baseTemplate)
  const create = `create database ${quoteIdentifier(name)} template ${template} strategy ${databaseCopy}`
  for (let attempt = 1; ; attempt++) {
    try {
      await admin.unsafe(create)
      return
    } catch (error) {
      if (isPostgresError(error) && error.code === DUPLICATE_DATABASE) throw madeMeanwhile(name)
      const isBusy = isPostgresError(error) && error.code === OBJECT_IN_USE
      if (!isBusy || attempt === CREATE_ATTEMPTS) throw error
      await new Promise((resolve) => setTimeout(resolve, 200 * attempt))
    }
  }
}

export async function dropDatabase(parts: DeployParts, admin: Sql, name: string): Promise<void> {
  try {
    await parts.pools.closeDatabase(name)
    const drop = `drop database if exists ${quoteIdentifier(name)}`
    // Only a superuser may end autovacuum, which with "force" would have to go; it goes by itself
    // where it is in the way of a drop without.
    await admin.unsafe(`${drop} with (force)`).catch((error) => {
      if (!isPostgresError(error) || error.code !== INSUFFICIENT_PRIVILEGE) throw error
      return admin.unsafe(drop)
    })
  } catch (error) {
    // The deploy's own outcome is what the client has to see. The empty database is taken over by
    // the next /register.
    parts.log.warn('A new database that is not kept could not be dropped', {
      database: name,
      cause: (error as Error).message,
    })
  }
}

function nameConflict(owner: Owner, name: string, holder: Owner): GatewayError {
  return new GatewayError('name_conflict', describeTaken(owner, name, holder), { database: name })
}

function madeMeanwhile(name: string): GatewayError {
  return new GatewayError(
    'name_conflict',
    `The database ${name} was made by somebody else just now; nothing was done to it`,
    { database: name, hint: 'Drop or rename it where it is not meant, and send the request again' },
  )
}

function reserved(owner: Owner, name: string): GatewayError {
  return new GatewayError(
    'name_conflict',
    `${describeOwner(owner)} would have the database ${name}, which is a name of the gateway's own`,
    { database: name },
  )
}
