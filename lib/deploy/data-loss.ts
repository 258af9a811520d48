import { GatewayError } from '../errors.ts'
import { quoteIdentifier } from '../names.ts'
import type { Sql } from '../postgres/connection.ts'
import type { Table, TableChange } from './changes.ts'

/** A change that loses values, and of how many rows. */
export interface Loss extends TableChange {
  rows: number
}

/**
 * How many rows each loss is about. Losses of tables without rows are left out: nothing is lost.
 * The transaction that would lose them has been rolled back: `tables` are there as before.
 */
export async function countLosses(
  sql: Sql,
  losses: TableChange[],
  tables: Table[],
): Promise<Loss[]> {
  const counts = new Map<string, number>()
  for (const table of tables) {
    if (!losses.some((loss) => loss.oid === table.oid)) continue
    const [row] = await sql.unsafe<{ rows: string }[]>(
      `select count(*)::text as rows from ${quoteIdentifier(table.schema)}.${quoteIdentifier(table.name)}`,
    )
    counts.set(table.oid, Number(row!.rows))
  }
  return losses
    .map((loss) => ({ ...loss, rows: counts.get(loss.oid) ?? 0 }))
    .filter((loss) => loss.rows > 0)
}

/** The answer to a deploy that would lose data and was not told that it may. */
export function dataLossError(database: string, losses: Loss[]): GatewayError {
  return new GatewayError(
    'data_loss',
    `The deploy would lose data and was rolled back: ${losses.map(describe).join('; ')}`,
    {
      database,
      losses: losses.map(({ oid: _, ...loss }) => loss),
      hint:
        'Send force=true, or let the migration say so in its first line: ' +
        '-- gateway: allow-data-loss',
    },
  )
}

function describe({ table, column, change, from, to, rows }: Loss): string {
  const of = `${rows} row${rows === 1 ? '' : 's'}`
  if (change === 'table_dropped') return `table ${table} with ${of}`
  if (change === 'column_dropped') return `column ${table}.${column} of ${of}`
  return `${table}.${column} from ${from} to ${to} in ${of}`
}
