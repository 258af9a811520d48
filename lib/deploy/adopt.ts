import { GatewayError } from '../errors.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { quoteIdentifier } from '../postgres/quote.ts'
import { isSameOwner } from '../tenancy/catalog/catalog.ts'
import { addEntry, readEntries } from '../tenancy/catalog/catalog-table.ts'
import { databaseName, type Owner } from '../tenancy/names.ts'
import { alreadyThere, describeOwner, describeTaken } from '../tenancy/owner-identity.ts'
import { type FoundDatabase, lookAt } from './adopt/look.ts'
import { readUnclaimed } from './database/adoption.ts'
import { withDatabaseLock } from './database/database.ts'
import { asGatewayUntilFree, handOver } from './database/handover.ts'
import { checkMayTake } from './database/take-database.ts'
import { FOREIGN_CHECKSUM, MARK_TAKEN_OVER } from './ledger/original.ts'
import type { DeployParts } from './parts.ts'
import { isReserved } from './templates/names.ts'

export interface AdoptRequest {
  owner: Owner
  /** The database that is there. */
  database: string
  /** Names of migrations that are in place in a database that has no ledger of them. */
  migrations: string[]
  /** Nothing is done. */
  dryRun: boolean
}

/** What was taken, or would be. */
export interface Adopted extends FoundDatabase {
  /** The platform's role; null where platforms share the gateway's. */
  role: string | null
  /** Migrations that do not run again, in order. */
  migrations: string[]
}

/** More of them are counted only. */
const MAX_NAMED = 10

/**
 * Takes a database that is there already into the catalog, as the owner's, and hands it over to the
 * platform's role. What its ledger has recorded does not run again.
 * @throws {GatewayError} database_not_found where it is not there; database_already_exists where the
 *   owner has it; name_conflict where it may not be taken; invalid_request where it has another name
 *   than the owner's database, or `migrations` are given beside a ledger that has some; database_in_use
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
        `migrations are for a database without a record of them; ${database} has one in ${found.ledger}`,
        { database },
      )
    }
    const migrations = found.recorded.length > 0 ? found.recorded : request.migrations
    if (dryRun) return { ...found, role, migrations }
    await handOver(parts, admin, owner, async (sql) => {
      await recordMigrations(sql, request.migrations)
      if (!hasLedger && found.hasTables) await sql.unsafe(MARK_TAKEN_OVER)
    })
    await addEntry(admin, owner, role)
    // Before its own notification comes: the next request has to see it.
    parts.catalog.forget(owner)
    return { ...found, role, migrations }
  })
}

/** What can be said without a look into the database. */
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
    const message = `There is no database ${database} on the server`
    throw new GatewayError('database_not_found', message, { database })
  }
  const isOwn = isReserved(database) || database === parts.server.database
  if (isOwn) throw notForPlatforms(database, "is the gateway's own")
  if (row.is_template) throw notForPlatforms(database, 'is a template')
  if (database === 'postgres') throw notForPlatforms(database, 'is for maintenance')
  if (!row.is_open) throw notForPlatforms(database, 'takes no connections')
}

/** After it is known that nobody else has it. */
function checkName({ owner, database }: AdoptRequest): void {
  const name = databaseName(owner)
  if (name === database) return
  throw new GatewayError(
    'invalid_request',
    `${describeOwner(owner)} has the database ${name}: ${database} has another name`,
    {
      database,
      hint: `Where it is meant, run "alter database ${quoteIdentifier(database)} rename to ${quoteIdentifier(name)}", and adopt ${name}`,
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
    `Not all in ${database} belongs to the owner of the database: ${named.join(', ')}${more}`,
    {
      database,
      hint: 'Run "alter … owner to …" for each of them as a superuser, or for all of a role "reassign owned by … to …" in this database',
    },
  )
}

function notForPlatforms(database: string, why: string): GatewayError {
  const message = `The database ${database} ${why}: it cannot be a platform's`
  return new GatewayError('name_conflict', message, { database })
}

/** They count as applied, whatever their text is. */
async function recordMigrations(sql: Sql, names: string[]): Promise<void> {
  if (names.length === 0) return
  await sql`
    insert into public._db_gateway_migrations (migration_file, checksum)
    select name, ${`${FOREIGN_CHECKSUM}adopted`}
    from json_array_elements_text(${JSON.stringify(names)}::text::json) as name
    on conflict (migration_file) do nothing
  `
}
