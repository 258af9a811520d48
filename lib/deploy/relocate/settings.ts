import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier, quoteLiteral } from '../../postgres/quote.ts'
import { type DatabaseSetting, settingStatements } from '../database/settings.ts'

/** What belongs to a database itself: pg_dump has it with CREATE DATABASE alone. */
export interface DatabaseSettings {
  connectionLimit: number
  comment: string | null
  /** Of all roles, and of the platform's role. */
  settings: DatabaseSetting[]
}

/**
 * Reads the settings of a database, but for those of other roles.
 * @param role role of the platform
 */
export async function readSettings(
  admin: Sql,
  database: string,
  role: string,
): Promise<DatabaseSettings> {
  const [row] = await admin<[DatabaseSettings]>`
    select d.datconnlimit as "connectionLimit", shobj_description(d.oid, 'pg_database') as comment,
      coalesce(
        (
          select jsonb_agg(jsonb_build_object('role', r.rolname, 'setting', c.setting))
          from pg_db_role_setting s
            left join pg_roles r on r.oid = s.setrole
            cross join unnest(s.setconfig) c (setting)
          where s.setdatabase = d.oid and (s.setrole = 0 or r.rolname = ${role})
        ),
        '[]'
      ) as settings
    from pg_database d where d.datname = ${database}
  `
  return row
}

/** Gives a database what `readSettings` has read of another one. */
export async function writeSettings(
  admin: Sql,
  name: string,
  { connectionLimit, comment, settings }: DatabaseSettings,
): Promise<void> {
  const database = quoteIdentifier(name)
  const statements = settingStatements(name, settings)
  statements.push(`alter database ${database} connection limit ${connectionLimit}`)
  if (comment !== null)
    statements.push(`comment on database ${database} is ${quoteLiteral(comment)}`)
  await admin.unsafe(statements.join(';'))
}
