import type { SchemaFile } from '../../archive/archive.ts'
import { isPostgresError } from '../../postgres/errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier, quoteLiteral } from '../../postgres/quote.ts'

import { type ColumnHelper, HELPER_PREFIX } from '../parser/column-helper.ts'

/**
 * Helper names without prefix, and the number of text arguments that each passes on. The last
 * parameter of a helper is the name of the platform's function.
 */
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
 * SQL that creates the helpers as the deploy's role. Each calls the platform's function with the
 * other arguments. They are dropped first, since the original gateway may have left helpers with
 * other parameter names, which CREATE OR REPLACE cannot change.
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

/** SQL that drops the helpers; only migrations may call them. */
export const DROP_HELPERS = HELPERS.map(([name, texts]) => dropOf(name, texts)).join('')

function dropOf(name: string, texts: number): string {
  return `drop function if exists public.${signatureOf(name, texts)};`
}

function signatureOf(name: string, texts: number): string {
  return `${HELPER_PREFIX}${name}(${Array.from({ length: texts + 1 }, () => 'text').join(', ')})`
}

/** A column by the oid of its table and its number (pg_attribute). */
interface Column {
  oid: string
  number: number
}

/** Finds the column that a helper call refers to; undefined if it does not exist. */
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

/** Whether the column is already in the state that the helper call produces. */
export async function isDone(sql: Sql, helper: ColumnHelper): Promise<boolean> {
  const column = await findColumn(sql, helper)
  if (helper.kind !== 'change type') return column === undefined
  return column !== undefined && (await hasType(sql, column, helper.to ?? ''))
}

/**
 * Whether the column has this type. False if the text is no type: to_regtype raises an error for
 * some texts.
 */
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

/**
 * Returns SQL for the table's oid. The platform's function may or may not quote the name, so both
 * spellings are tried.
 */
function tableOf({ table }: ColumnHelper): string {
  const names = [table, table.toLowerCase()].map((name) =>
    quoteLiteral(name.split('.').map(quoteIdentifier).join('.')),
  )
  return `coalesce(${names.map((name) => `to_regclass(${name})`).join(', ')})`
}
