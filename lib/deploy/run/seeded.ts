import type { Node } from 'libpg-query'
import type { SchemaFile } from '../../archive/archive.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { withoutRows } from '../loss/traces.ts'
import { sqlName } from '../parser/names.ts'
import { readStatement } from '../parser/parser.ts'
import type { Script } from './run-file.ts'

/**
 * Returns the seeders that count as run in a database that is taken over: all except those that
 * insert only into empty tables.
 */
export async function findSeeded(sql: Sql, scripts: Script[]): Promise<Set<SchemaFile>> {
  const targets = await Promise.all(scripts.map(targetsOf))
  const empty = await emptyAmong(sql, [...new Set(targets.flat())])
  const seeded = scripts.filter((_, i) => {
    const tables = targets[i]!
    return tables.length === 0 || tables.some((table) => !empty.has(table))
  })
  return new Set(seeded.map(({ file }) => file))
}

async function targetsOf({ statements }: Script): Promise<string[]> {
  const read = await Promise.all(statements.map(({ text }) => readStatement(text)))
  return read.flatMap(({ node }) => (node ? targetOf(node) : []))
}

function targetOf(node: Node): string[] {
  const relation =
    ('InsertStmt' in node && node.InsertStmt.relation) ||
    ('MergeStmt' in node && node.MergeStmt.relation) ||
    ('CopyStmt' in node && node.CopyStmt.relation)
  return relation ? [sqlName(relation)] : []
}

async function emptyAmong(sql: Sql, tables: string[]): Promise<Set<string>> {
  const rows = await sql.unsafe<{ name: string; oid: string }[]>(
    `select name, to_regclass(name)::oid::text as oid
     from json_array_elements_text($1::text::json) as name
     where to_regclass(name) is not null`,
    [JSON.stringify(tables)],
  )
  const empty = await withoutRows(
    sql,
    rows.map(({ oid }) => oid),
    'all',
  )
  return new Set(rows.flatMap(({ name, oid }) => (empty.has(oid) ? name : [])))
}
