import { quoteIdentifier } from '../names.ts'
import type { Sql } from '../postgres/connection.ts'

const MARK = 'Database Gateway: being made'

/** Says of a database that was created just now that nobody has had it yet. */
export async function markHalfMade(admin: Sql, database: string): Promise<void> {
  await admin.unsafe(`comment on database ${quoteIdentifier(database)} is '${MARK}'`)
}

/** To be called before anybody can have it. */
export async function unmarkHalfMade(admin: Sql, database: string): Promise<void> {
  await admin.unsafe(`comment on database ${quoteIdentifier(database)} is null`)
}

/**
 * Whether the database is what is left of a gateway that was killed while it made it: nobody has had
 * it, so nothing in it is anybody's.
 */
export async function isHalfMade(admin: Sql, database: string): Promise<boolean> {
  const rows = await admin`
    select from pg_database
    where datname = ${database} and shobj_description(oid, 'pg_database') = ${MARK}
  `
  return rows.length > 0
}
