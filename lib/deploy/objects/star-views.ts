import type { Row, RowList } from 'postgres'
import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'
import { asStatementError, StatementError, withoutAdded } from '../failure.ts'
import type { Statement } from '../parser/statement.ts'
import { type Script, sendScript } from '../run/run-file.ts'
import { findObjects } from './find.ts'
import { readNames } from './names.ts'
import type { FoundObject } from './object.ts'
import { addDrop, askedOfMade, type CodeState, keysOf, mayDrop } from './state.ts'

/** A view that would have other columns if its file ran now. */
export interface OtherColumns {
  path: string
  object: FoundObject
}

/**
 * Finds views with `*` that would have other columns if they were created now, because a table or
 * another view has gained one: materialized views, and views without OR REPLACE. PostgreSQL
 * resolves the columns, in one round trip. Views whose query cannot be run are left out.
 */
export async function findOtherColumns(
  sql: Sql,
  scripts: Map<string, Script>,
): Promise<OtherColumns[]> {
  const views = [...scripts].flatMap(([path, { statements }]) =>
    statements.flatMap((statement) =>
      statement.made && statement.starQuery ? [{ path, statement, made: statement.made }] : [],
    ),
  )
  if (views.length === 0) return []
  const made = views.map(({ made }) => made)
  const statements = views.map(({ statement }) => statement)
  const [names, found, ...columns] = await Promise.all([
    readNames(sql, made),
    findObjects(sql, made.map(askedOfMade)),
    ...statements.map((statement) => askColumns(sql, statement)),
  ])
  const keys = keysOf(statements, names)
  const there = views.flatMap(({ path, statement }, i) => {
    const object = found.byKey.get(keys.get(statement)!)
    const wanted = columns[i]
    return object && wanted ? [{ path, object, wanted }] : []
  })
  const actual = await readColumns(
    sql,
    there.map(({ object }) => object.oid),
  )
  return there.filter(({ object, wanted }) => wanted.join('\0') !== actual.get(object.oid))
}

/** Returns the column names of the statement's query; undefined if PostgreSQL rejects it. */
async function askColumns(sql: Sql, { starQuery, made }: Statement): Promise<string[] | undefined> {
  const { text, aliases } = starQuery!
  const path = made?.path
    ? `; select set_config('search_path', ${quoteLiteral(made.path.join(', '))}, true)`
    : ''
  const [, asked] = await Promise.allSettled([
    send(sql.unsafe(`savepoint star${path}`)),
    send(sql.unsafe(`select * from (${text}\n) as star limit 0`)),
    send(sql.unsafe('rollback to savepoint star; release savepoint star')),
  ])
  if (asked.status === 'rejected') return undefined
  const { columns } = asked.value as unknown as RowList<Row[]>
  return columns.map(({ name }, i) => aliases[i] ?? name)
}

async function readColumns(sql: Sql, oids: string[]): Promise<Map<string, string>> {
  if (oids.length === 0) return new Map()
  const rows = await sql.unsafe<{ oid: string; names: string[] }[]>(`
    select attrelid::text as oid, json_agg(attname order by attnum) as names
    from pg_catalog.pg_attribute
    where attrelid = any (${quoteLiteral(`{${oids.join(',')}}`)}::oid[])
      and attnum > 0 and not attisdropped
    group by attrelid
  `)
  return new Map(rows.map(({ oid, names }) => [oid, names.join('\0')]))
}

/** Adds materialized views to the drops, since PostgreSQL cannot replace them. */
export function dropMaterialized(state: CodeState, others: OtherColumns[]): void {
  for (const { object } of others) {
    if (object.kind !== 'materialized view' || !mayDrop(state, object)) continue
    addDrop(state, object)
  }
}

/** Added to CREATE VIEW if only new columns are appended, so that the view's dependants stay. */
const OR_REPLACE = ' or replace'
const CREATE = /^((?:\s|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*create)(?=\s)/i

/** Sends a CREATE VIEW as CREATE OR REPLACE VIEW. */
export async function sendReplacing(
  sql: Sql,
  { file }: Script,
  statement: Statement,
): Promise<unknown> {
  const text = statement.text.replace(CREATE, `$1${OR_REPLACE}`)
  try {
    return await sendScript(sql, { file, statements: [{ ...statement, text }] })[0]
  } catch (error) {
    if (!(error instanceof StatementError)) throw error
    withoutAdded(error.error, OR_REPLACE.length)
    throw asStatementError(file, statement, error.error)
  }
}
