import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { CANONICAL_SETTINGS } from './facts-sql.ts'
import { PRINT } from './print-sql.ts'
import { SCHEMA_VERSION } from './version.ts'

/** Identifiers of a database's schema, taken without reading the schema. */
export interface Look {
  /**
   * Print of the catalogs; equal only in databases with the same objects and the same search path.
   */
  print: string
  /** Result of SCHEMA_VERSION, taken before the print. */
  version: string
}

type Rows = [{ version?: string; searched?: string[]; print?: string }?]

/**
 * Takes a look at the catalogs as the open transaction sees them. Sends one query of several
 * statements, which leaves the settings of the session unchanged.
 * @param first query that is sent right before that for the print, with a search_path of pg_catalog;
 *   its first row is returned as `first`
 */
export async function sendLook(sql: Sql): Promise<Look>
export async function sendLook<T>(sql: Sql, first: string): Promise<Look & { first: T }>
export async function sendLook(sql: Sql, first?: string): Promise<Look & { first?: unknown }> {
  const results: unknown = await send(
    sql.unsafe(
      [
        'savepoint look',
        SCHEMA_VERSION,
        'set local search_path to default',
        'select pg_catalog.to_json(pg_catalog.current_schemas(false)) as searched',
        CANONICAL_SETTINGS,
        ...(first === undefined ? [] : [first]),
        PRINT,
        'rollback to savepoint look',
        'release savepoint look',
      ].join(';'),
    ),
  )
  const rows = (results as Rows[]).map(([row]) => row)
  const at = rows.findIndex((row) => row?.print !== undefined)
  const { version } = rows.find((row) => row?.version !== undefined)!
  const { searched } = rows.find((row) => row?.searched !== undefined)!
  const { print } = rows[at]!
  const look = { print: `${print} ${JSON.stringify(searched)}`, version: version! }
  return first === undefined ? look : { ...look, first: rows[at - 1] }
}
