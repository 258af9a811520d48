import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { CANONICAL_SETTINGS } from './facts-sql.ts'
import { PRINT } from './print-sql.ts'
import { SCHEMA_VERSION } from './version.ts'

/** What the catalogs of a database are known by, without reading what they say. */
export interface Look {
  /** Equal in databases that have the same objects, and the same search path. */
  print: string
  /** As SCHEMA_VERSION gives it, from before the print was taken. */
  version: string
}

type Rows = [{ version?: string; searched?: string[]; print?: string }?]

/**
 * Sends what looks at the catalogs as they are in the transaction that is open: in one query of several
 * statements, which leaves its settings as they were.
 */
export async function sendLook(sql: Sql): Promise<Look> {
  const results: unknown = await send(
    sql.unsafe(
      [
        'savepoint look',
        SCHEMA_VERSION,
        'set local search_path to default',
        'select pg_catalog.to_json(pg_catalog.current_schemas(false)) as searched',
        CANONICAL_SETTINGS,
        PRINT,
        'rollback to savepoint look',
        'release savepoint look',
      ].join(';'),
    ),
  )
  const rows = (results as Rows[]).map(([row]) => row)
  const { version } = rows.find((row) => row?.version !== undefined)!
  const { searched } = rows.find((row) => row?.searched !== undefined)!
  const { print } = rows.find((row) => row?.print !== undefined)!
  return { print: `${print} ${JSON.stringify(searched)}`, version: version! }
}
