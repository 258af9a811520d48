import type { Sql } from '../../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../../postgres/quote.ts'
import type { Objects } from '../check.ts'

/**
 * Settings of a server, a database or a role that would end what sends changes or applies them.
 * A subscription has no options for its sessions (libpqwalreceiver.c), so that the gateway's role gets
 * these in the database itself, which go before all others.
 */
const TIMEOUTS = [
  ...['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout'],
  // from PostgreSQL 17 on
  'transaction_timeout',
]

const SETTINGS = [...TIMEOUTS, 'role']

const NAMES = SETTINGS.map((name) => `'${name}'`).join(', ')

/** Settings that somebody has given the gateway's role in the database, which the move would take away. */
export const OWN_SETTINGS: Objects = {
  what: "settings of the gateway's own role in this database",
  hint: '"alter role … in database … reset …" for the move',
  sql: `select split_part(setting, '=', 1) as name
    from pg_db_role_setting s, unnest(s.setconfig) setting
    where s.setrole = (select oid from pg_roles where rolname = current_user)
      and s.setdatabase = (select oid from pg_database where datname = current_database())
      and split_part(setting, '=', 1) in (${NAMES})`,
}

/** Gives the gateway's role SETTINGS in a database, for new sessions. */
export async function shield(admin: Sql, database: string): Promise<void> {
  const known = await admin<{ name: string }[]>`
    select name from pg_settings where name in ${admin(TIMEOUTS)}
  `
  const changes = known.map(({ name }) => `set ${name} = 0`)
  await alter(admin, database, ['set role = none', ...changes])
}

/** Takes them away. May be repeated. @param names names that the database may have */
export async function unshield(admin: Sql, names: string[]): Promise<void> {
  const rows = await admin<{ database: string; setting: string }[]>`
    select d.datname as database, split_part(one, '=', 1) as setting
    from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase, unnest(s.setconfig) one
    where d.datname in ${admin(names)}
      and s.setrole = (select oid from pg_roles where rolname = current_user)
      and split_part(one, '=', 1) in ${admin(SETTINGS)}
  `
  for (const { database, setting } of rows) await alter(admin, database, [`reset ${setting}`])
}

/** Takes the time limits off a session of the gateway's own. */
export async function withoutTimeouts(sql: Sql): Promise<void> {
  const names = [...TIMEOUTS, 'idle_session_timeout']
  await sql`select set_config(name, '0', false) from pg_settings where name in ${sql(names)}`
}

async function alter(admin: Sql, database: string, changes: string[]): Promise<void> {
  const it = `alter role current_user in database ${quoteIdentifier(database)}`
  await admin.unsafe(changes.map((change) => `${it} ${change}`).join(';'))
}
