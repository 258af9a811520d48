import type { PendingQuery, Row } from 'postgres'
import type { Sql } from '../postgres/pools/connection.ts'

/**
 * Returns the arguments of the advisory lock that a gateway holds while it creates, renames, copies or
 * drops a database.
 * @param name name of the database, or an SQL expression of it
 */
export function databaseLock(sql: Sql, name: string | PendingQuery<Row[]>) {
  return sql`hashtext('_db_gateway_database'), hashtext(${name})`
}

/**
 * Returns the arguments of the lock that a gateway holds beside that one while it replicates a database to
 * another server, which may take hours: others do not wait for the first lock then.
 */
export function followedLock(sql: Sql, name: string) {
  return sql`hashtext('_db_gateway_followed'), hashtext(${name})`
}
