import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import type { DeployParts } from '../parts.ts'

/**
 * Sets each sequence that the role may set to the value that it has. A sequence that was never used
 * writes a log record for its first value anyway, and an unlogged one has none.
 */
const SET_TO_ITSELF = `
  select count(
    case when has_sequence_privilege(c.oid, 'UPDATE') and has_sequence_privilege(c.oid, 'USAGE')
      then setval(c.oid, pg_sequence_last_value(c.oid)) end
  )
  from pg_class c where c.relkind = 'S' and c.relpersistence = 'p'
`

/**
 * Makes the sequences of a database that CREATE DATABASE has copied safe in a crash. PostgreSQL logs
 * a sequence ahead, every 32 values, and keeps in its row how many it may still give without a record
 * (`log_cnt`, sequence.c). With the strategy wal_log the copy has that number but not the record: after a
 * crash it would give values a second time. setval writes a record and sets the number to 0.
 *
 * Nobody else may use the database yet: a value that was given meanwhile would be given again.
 * @param sql session in the database, in a transaction, as the gateway's role with the search_path
 *   pg_catalog
 * @param role owner of the sequences that are not the gateway's; null: there is none
 */
export async function logCopiedSequences(sql: Sql, role: string | null): Promise<void> {
  // The gateway's role may be one that does not inherit the privileges of the platform's.
  const asRole =
    role === null
      ? ''
      : `set local role ${quoteIdentifier(role)}; ${SET_TO_ITSELF}; set local role none;`
  await sql.unsafe(`${SET_TO_ITSELF}; ${asRole}`)
}

/**
 * Returns what the handover of a new database does with the sequences of the template that it is a copy
 * of; undefined for template0, which has none.
 */
export function sequencesOf(
  template: string,
  { roles }: Pick<DeployParts, 'roles'>,
  platform: string,
): ((sql: Sql) => Promise<void>) | undefined {
  if (template === 'template0') return undefined
  return (sql) => logCopiedSequences(sql, roles.roleOf(platform))
}
