import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'

/** Maintenance database of every PostgreSQL server; it never holds a new catalog. */
export const MAINTENANCE = 'postgres'

/** Database that holds the catalog if DATABASE_URL names the maintenance database. */
export const OWN_DATABASE = 'db_gateway'

/**
 * Returns the database that holds the catalog: that of DATABASE_URL, unless it is `postgres`. In
 * that case it is `db_gateway`, which is created if it is missing. A catalog that is already in
 * `postgres` stays there.
 * @param sql connection to the database of DATABASE_URL
 * @throws {Error} with a message of one line, if the catalog can be placed nowhere
 */
export async function findHome(sql: Sql, database: string): Promise<string> {
  const [row] = await sql<{ has_catalog: boolean; may_create: boolean; role: string }[]>`
    select
      to_regclass('_db_gateway_databases') is not null as has_catalog,
      current_schema() is not null
        and has_schema_privilege(current_schema()::text, 'create') as may_create,
      current_user as role
  `
  const { has_catalog, may_create, role } = row!
  if (has_catalog) return database
  if (database === MAINTENANCE) {
    await makeOwnDatabase(sql, role)
    return OWN_DATABASE
  }
  if (may_create) return database
  throw new Error(
    `The role ${role} may not create tables in the database ${database}: run "grant create on schema public to ${quoteIdentifier(role)}" there, or let DATABASE_URL end in /${MAINTENANCE}, so that the gateway creates the database ${OWN_DATABASE} for its catalog`,
  )
}

/** Creates the database under an advisory lock, and lets no role but its owner connect. */
async function makeOwnDatabase(sql: Sql, role: string): Promise<void> {
  const name = quoteIdentifier(OWN_DATABASE)
  await sql`select pg_advisory_lock(hashtext('_db_gateway_home'))`
  try {
    const [found] = await sql<{ owner: string; is_own: boolean }[]>`
      select pg_get_userbyid(datdba) as owner, pg_has_role(datdba, 'usage') as is_own
      from pg_database where datname = ${OWN_DATABASE}
    `
    if (found && !found.is_own) {
      throw new Error(
        `The database ${OWN_DATABASE} belongs to the role ${found.owner}: set DATABASE_URL to a database that ${role} owns`,
      )
    }
    if (found) return
    await sql.unsafe(`create database ${name} template template0`)
    await sql.unsafe(`revoke connect, temporary on database ${name} from public`)
  } catch (error) {
    throw explain(error, role)
  } finally {
    await sql`select pg_advisory_unlock(hashtext('_db_gateway_home'))`
  }
}

function explain(error: unknown, role: string): unknown {
  if ((error as { code?: string }).code !== '42501') return error
  return new Error(
    `The role ${role} may not create databases: run "alter role ${quoteIdentifier(role)} createdb"`,
  )
}
