import type { SchemaFile } from '../../archive/archive.ts'
import { isPostgresError } from '../../postgres/errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier, quoteLiteral } from '../../postgres/quote.ts'

import { type ColumnHelper, HELPER_PREFIX } from '../parser/column-helper.ts'

/** Names without prefix, and how many texts each hands on; the last parameter is the function. */
const HELPERS: [name: string, texts: number][] = [
  ['change_column_type', 3],
  ['rename_column', 3],
  ['drop_column', 2],
]

/** Whether migrations call the original gateway's helpers. */
export function callHelpers(files: SchemaFile[]): boolean {
  return files.some(({ text }) => text.toLowerCase().includes(HELPER_PREFIX))
}

/**
 * SQL that makes the helpers, as the deploy's own role. Each runs the platform's function with the
 * other arguments. Those of the original gateway may be there, with other parameter names.
 */
export const CREATE_HELPERS = HELPERS.map(([name, texts]) => {
  const given = Array.from({ length: texts }, (_, i) => `$${i + 1}`).join(', ')
  const places = Array.from({ length: texts }, () => '%L').join(', ')
  return `
    ${dropOf(name, texts)}
    create function public.${signatureOf(name, texts)} returns void language plpgsql as $helper$
      begin
        execute format('select %I(${places})', $${texts + 1}, ${given});
      end
    $helper$;`
}).join('')

/** SQL that drops the helpers: nothing but migrations is to call them. */
export const DROP_HELPERS = HELPERS.map(([name, texts]) => dropOf(name, texts)).join('')

function dropOf(name: string, texts: number): string {
  return `drop function if exists public.${signatureOf(name, texts)};`
}

function signatureOf(name: string, texts: number): string {
  return `${HELPER_PREFIX}${name}(${Array.from({ length: texts + 1 }, () => 'text').join(', ')})`
}

/** A column in the catalogs. */
interface Column {
  oid: string
  number: number
}

/** Finds the column that a helper is about; undefined where there is none. */
export async function findColumn(sql: Sql, helper: ColumnHelper): Promise<Column | undefined> {
  const { column } = helper
  const [row] = await sql.unsafe<Column[]>(`
    select attrelid::text as oid, attnum as number
    from pg_attribute
    where attrelid = ${tableOf(helper)} and not attisdropped
      and attname in (${quoteLiteral(column)}, ${quoteLiteral(column.toLowerCase())})
    limit 1
  `)
  return row
}

/** Whether the column is as the helper would leave it. */
export async function isDone(sql: Sql, helper: ColumnHelper): Promise<boolean> {
  const column = await findColumn(sql, helper)
  if (helper.kind !== 'change type') return column === undefined
  return column !== undefined && (await hasType(sql, column, helper.to ?? ''))
}

/** False of what is no type: to_regtype raises for some texts. */
async function hasType(sql: Sql, { oid, number }: Column, type: string): Promise<boolean> {
  await sql.unsafe('savepoint type')
  try {
    const [row] = await sql.unsafe<[{ has: boolean | null }]>(`
      select atttypid = to_regtype(${quoteLiteral(type)}) as has
      from pg_attribute where attrelid = ${oid} and attnum = ${number}
    `)
    await sql.unsafe('release savepoint type')
    return row.has === true
  } catch (error) {
    if (!isPostgresError(error)) throw error
    await sql.unsafe('rollback to savepoint type; release savepoint type')
    return false
  }
}

/** The helper's function may quote the name, or not. */
function tableOf({ table }: ColumnHelper): string {
  const names = [table, table.toLowerCase()].map((name) =>
    quoteLiteral(name.split('.').map(quoteIdentifier).join('.')),
  )
  return `coalesce(${names.map((name) => `to_regclass(${name})`).join(', ')})`
}
