import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier, quoteLiteral } from '../../postgres/quote.ts'

/** A serial or identity column, whose values come from a sequence of its own. */
interface NumberedColumn {
  table: string
  column: string
  sequence: string
  step: string
}

/**
 * Returns a warning for each serial or identity column of these tables whose sequence gives a value
 * that rows may already have, because seeders inserted values of their own.
 * @param tables names as SQL
 */
export async function sequenceWarnings(sql: Sql, tables: string[]): Promise<string[]> {
  if (tables.length === 0) return []
  const columns = await sql.unsafe<NumberedColumn[]>(`
    select distinct
      a.attrelid::regclass::text as table, a.attname::text as column,
      s.seqrelid::regclass::text as sequence, s.seqincrement::text as step
    from json_array_elements_text(${quoteLiteral(JSON.stringify(tables))}::json) as name
    join pg_depend d on d.refobjid = to_regclass(name)
      and d.refclassid = 'pg_class'::regclass and d.classid = 'pg_class'::regclass
      and d.deptype in ('a', 'i')
    join pg_sequence s on s.seqrelid = d.objid and s.seqincrement > 0
    join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
      and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
    where has_sequence_privilege(s.seqrelid, 'SELECT') and has_table_privilege(a.attrelid, 'SELECT')
    order by 1, 2
  `)
  if (columns.length === 0) return []
  const asked = columns.map(
    ({ table, column, sequence, step }, i) => `
      select
        ${i} as at,
        (select max(${quoteIdentifier(column)}) from ${table})::text as highest,
        (select last_value::numeric + case when is_called then ${step} else 0 end from ${sequence})::text
          as next`,
  )
  const rows = await sql.unsafe<{ highest: string | null; next: string }[]>(
    `${asked.join(' union all ')} order by at`,
  )
  return columns.flatMap(({ table, column }, i) => {
    const { highest, next } = rows[i]!
    if (highest === null || BigInt(next) > BigInt(highest)) return []
    const set = `select setval(pg_get_serial_sequence(${quoteLiteral(table)}, ${quoteLiteral(column)}), (select max(${quoteIdentifier(column)}) from ${table}))`
    return [
      `${table}.${column} has values up to ${highest}, but its sequence gives ${next} next, so that inserts may fail: end the seeder with "${set};"`,
    ]
  })
}
