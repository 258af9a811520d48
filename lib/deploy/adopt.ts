import { GatewayError } from '../errors.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { quoteIdentifier } from '../postgres/quote.ts'
import { isSameOwner } from '../tenancy/catalog/catalog.ts'
import { addEntry, readEntries } from '../tenancy/catalog/catalog-table.ts'
import { databaseName, type Owner } from '../tenancy/names.ts'
import { alreadyThere, describeOwner, describeTaken } from '../tenancy/owner-identity.ts'
import { type FoundDatabase, lookAt } from './adopt/look.ts'
import { readUnclaimed } from './database/adoption.ts'
import { asGatewayUntilFree, handOver } from './database/handover.ts'
import { placed } from './database/placed.ts'
import { checkMayTake } from './database/take-database.ts'
import { withDatabaseLock } from './database/with-lock.ts'
import { FOREIGN_CHECKSUM, MARK_TAKEN_OVER } from './ledger/original.ts'
import type { DeployParts } from './parts.ts'
import { isReserved } from './templates/names.ts'

/** A request to adopt an existing database. */
export interface AdoptRequest {
  owner: Owner
  /** Name of the existing database. */
  database: string
  /**
   * File names of migrations to record as applied, for a database that has no record of migrations.
   */
  migrations: string[]
  /** Checks only; changes nothing. */
  dryRun: boolean
}

/** A database that was adopted, or that a dry run would adopt. */
export interface Adopted extends FoundDatabase {
  /** Role of the platform; null where platforms share the gateway's role. */
  role: string | null
  /** Names of the migrations that count as applied and will not run again, in order. */
  migrations: string[]
}

/** Objects that an error names; further ones are only counted. */
const MAX_NAMED = 10

/**
 * Enters an existing database into the catalog as the owner's and hands it over to the platform's
 * role. Migrations that its ledger records as applied do not run again.
 * @throws {GatewayError} database_not_found if the database does not exist; database_already_exists
 *   if the owner has it already; name_conflict if it may not be taken; invalid_request if its name
 *   differs from the name of the owner's database, or if `migrations` are given for a database that
 *   records some; database_in_use
 */
export async function adopt(parts: DeployParts, request: AdoptRequest): Promise<Adopted> {
  const { owner, database, dryRun } = request
  return withDatabaseLock(parts, database, async (admin) => {
    await checkDatabase(parts, admin, request)
    const { has_ledger: hasLedger } = await readUnclaimed(parts, admin, database)
    checkName(request)
    const role = parts.roles.roleOf(owner.platform)
    if (role !== null) await checkMayTake(admin, database, role)
    const found = await asGatewayUntilFree(parts, admin, database, (sql) => lookAt(sql, role))
    checkFound(database, found)
    if (found.recorded.length > 0 && request.migrations.length > 0) {
      throw new GatewayError(
        'invalid_request',
        `The member migrations is for a database without recorded migrations; ${database} records them in ${found.ledger}`,
        { database },
      )
    }
    const migrations = found.recorded.length > 0 ? found.recorded : request.migrations
    if (dryRun) return { ...found, role, migrations }
    await placed(parts, admin, owner, async () => {
      await handOver(parts, admin, owner, async (sql) => {
        await recordMigrations(sql, request.migrations)
        if (!hasLedger && found.hasTables) await sql.unsafe(MARK_TAKEN_OVER)
      })
      await addEntry(admin, owner, role)
    })
    // Drops the cache entry now, since the catalog's notification may come after the next request.
    parts.catalog.forget(owner)
    return { ...found, role, migrations }
  })
}

/** Makes the checks that need no connection to the database. */
async function checkDatabase(
  parts: DeployParts,
  admin: Sql,
  { owner, database }: AdoptRequest,
): Promise<void> {
  const [entry] = await readEntries(admin, [database])
  if (entry && isSameOwner(entry, owner)) throw alreadyThere(owner, database)
  if (entry) {
    throw new GatewayError('name_conflict', describeTaken(owner, database, entry), { database })
  }
  const [row] = await admin<{ is_template: boolean; is_open: boolean }[]>`
    select datistemplate as is_template, datallowconn and datconnlimit <> -2 as is_open
    from pg_database where datname = ${database}
  `
  if (!row) {
    const message = `Database ${database} does not exist`
    throw new GatewayError('database_not_found', message, { database })
  }
  const isOwn = isReserved(database) || database === parts.server.database
  if (isOwn) throw notForPlatforms(database, 'belongs to the gateway')
  if (row.is_template) throw notForPlatforms(database, 'is a template')
  if (database === 'postgres') throw notForPlatforms(database, 'is the maintenance database')
  if (!row.is_open) throw notForPlatforms(database, 'does not accept connections')
}

/**
 * Checks the name. Runs after `checkDatabase`, so that an error about another owner comes first.
 */
function checkName({ owner, database }: AdoptRequest): void {
  const name = databaseName(owner)
  if (name === database) return
  throw new GatewayError(
    'invalid_request',
    `${describeOwner(owner)} can only adopt a database named ${name}, not ${database}`,
    {
      database,
      hint: `If this is the database you mean, run "alter database ${quoteIdentifier(database)} rename to ${quoteIdentifier(name)}", then adopt ${name}`,
    },
  )
}

function checkFound(database: string, { isCatalog, foreign }: FoundDatabase): void {
  if (isCatalog) throw notForPlatforms(database, 'has the catalog of a gateway')
  if (foreign.length === 0) return
  const named = foreign
    .slice(0, MAX_NAMED)
    .map(({ type, identity, owner }) => `${type} ${identity} (${owner})`)
  const more = foreign.length > MAX_NAMED ? `, and ${foreign.length - MAX_NAMED} more` : ''
  throw new GatewayError(
    'name_conflict',
    `Database ${database} has objects that do not belong to its owner: ${named.join(', ')}${more}`,
    {
      database,
      hint: 'Run "alter … owner to …" for each object as a superuser, or "reassign owned by … to …" in this database for all objects of a role',
    },
  )
}

function notForPlatforms(database: string, why: string): GatewayError {
  const message = `Database ${database} ${why} and cannot belong to a platform`
  return new GatewayError('name_conflict', message, { database })
}

/** Records migrations as applied. The checksum is one that `checkApplied` never compares. */
async function recordMigrations(sql: Sql, names: string[]): Promise<void> {
  if (names.length === 0) return
  await sql`
    insert into public._db_gateway_migrations (migration_file, checksum)
    select name, ${`${FOREIGN_CHECKSUM}adopted`}
    from json_array_elements_text(${JSON.stringify(names)}::text::json) as name
    on conflict (migration_file) do nothing
  `
}
