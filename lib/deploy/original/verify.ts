import type { SchemaArchive, SchemaFile } from '../../archive/archive.ts'
import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Seed } from '../plan/seeds.ts'
import { readSeeds } from '../plan/seeds.ts'
import { extensionNames } from '../run/extensions.ts'
import { readScripts } from '../run/run-file.ts'
import type { Difference } from '../run/tables.ts'
import { compareDeclared } from '../run/tables.ts'
import { lackingValues } from './enum-values.ts'

/**
 * Rows that seeders insert into a table, and rows found in it, at most MAX_COUNTED or `expected`.
 */
export interface SeederValidation {
  table: string
  expected: number
  found: number
}

/** Whether the objects that an archive declares exist, in the format of /v2/*. */
export interface Verification {
  passed: boolean
  extensions_verified: boolean
  types_verified: boolean
  tables_verified: boolean
  seeders_verified: boolean
  /** One line for each difference; null if there is none. */
  error_log: string | null
}

/** lock_timeout while tables are compared, in milliseconds. */
const LOCK_TIMEOUT_MS = 2_000

/** Rows of a table are counted up to this limit, or up to the expected number if that is higher. */
const MAX_COUNTED = 10_000

/**
 * Checks that the extensions, types, tables and seeded rows of an archive exist in a database, that
 * the tables have the declared columns, and that the enums have the declared values.
 */
export async function verify(
  sql: Sql,
  database: string,
  { files }: SchemaArchive,
): Promise<{ verification: Verification; seeders: SeederValidation[] }> {
  const extensions = extensionNames(files.extensions)
  const [types, tables, seeds] = await Promise.all([
    madeBy(files.types),
    madeBy(files.tables),
    readScripts(files.seeders).then(readSeeds),
  ])
  const lacking = await findLacking(sql, extensions, types, tables)
  const seeders = await countSeeded(sql, seeds)
  const values = await lackingValues(sql, files.types)
  const columns = await findWrongColumns(sql, database, files.tables)
  const lines = {
    extensions: lacking.extensions.map((name) => `extension ${name} is not installed`),
    types: [
      ...lacking.types.map((name) => `type ${name} does not exist`),
      ...values.map(({ name, value }) => `enum ${name} lacks the value ${value}`),
    ],
    tables: [...lacking.tables.map((name) => `table ${name} does not exist`), ...columns],
    seeders: seeders
      .filter(({ expected, found }) => found < expected)
      .map(({ table, expected, found }) => `${table} has ${found} of ${expected} seeded rows`),
  }
  const all = Object.values(lines).flat()
  const verification = {
    passed: all.length === 0,
    extensions_verified: lines.extensions.length === 0,
    types_verified: lines.types.length === 0,
    tables_verified: lines.tables.length === 0,
    seeders_verified: lines.seeders.length === 0,
    error_log: all.length === 0 ? null : all.join('\n'),
  }
  return { verification, seeders }
}

/**
 * Returns a line for each column that differs from its declaration; a single line with the reason
 * if the tables could not be compared.
 */
async function findWrongColumns(
  sql: Sql,
  database: string,
  tables: SchemaFile[],
): Promise<string[]> {
  if (tables.length === 0) return []
  await sql.unsafe(`begin; set local lock_timeout = ${LOCK_TIMEOUT_MS}`)
  try {
    const differences = await compareDeclared(sql, database, tables)
    // Columns that a table has besides the declared ones may come from another archive.
    return differences.filter(({ kind }) => kind !== 'extra_column').map(describe)
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    const { cause } = error.details
    return [`tables could not be compared: ${error.message}${cause ? `: ${cause}` : ''}`]
  } finally {
    await sql.unsafe('rollback')
  }
}

async function madeBy(files: SchemaFile[]): Promise<string[]> {
  const scripts = await readScripts(files)
  return scripts.flatMap(({ statements }) =>
    statements.flatMap(({ facts }) => (MAKES.has(facts.kind) ? facts.makes : [])),
  )
}

const MAKES = new Set([
  'CreateStmt',
  'CreateForeignTableStmt',
  'CreateEnumStmt',
  'CreateDomainStmt',
  'CreateRangeStmt',
  'CompositeTypeStmt',
])

interface Lacking {
  extensions: string[]
  types: string[]
  tables: string[]
}

/**
 * Finds declared objects that do not exist, by name in any schema. A table's row type counts as a
 * type.
 */
async function findLacking(
  sql: Sql,
  extensions: string[],
  types: string[],
  tables: string[],
): Promise<Lacking> {
  const [row] = await sql<[Lacking]>`
    select
      (select coalesce(json_agg(name), '[]') from ${namesIn(sql, extensions)}
        where not exists (select from pg_extension where extname = name)) as extensions,
      (select coalesce(json_agg(name), '[]') from ${namesIn(sql, types)}
        where not exists (select from pg_type where typname = name)) as types,
      (select coalesce(json_agg(name), '[]') from ${namesIn(sql, tables)}
        where not exists (
          select from pg_class where relname = name and relkind in ('r', 'p', 'f')
        )) as tables
  `
  return row
}

function namesIn(sql: Sql, names: string[]) {
  return sql`json_array_elements_text(${JSON.stringify(names)}::text::json) as n (name)`
}

async function countSeeded(sql: Sql, seeds: Seed[]): Promise<SeederValidation[]> {
  // One seeder may name a table with its schema, and another one without.
  const tableOf = new Map(seeds.map(({ table, name }) => [name, table]))
  const rows = new Map<string, Set<string>>()
  for (const { name, rows: own } of seeds) {
    const table = tableOf.get(name)!
    rows.set(table, new Set([...(rows.get(table) ?? []), ...own]))
  }
  const nameOf = new Map(seeds.map(({ table, name }) => [table, name]))
  const tables = [...rows].filter(([, { size }]) => size > 0)
  const there = await sql<{ name: string }[]>`
    select name from ${namesIn(
      sql,
      tables.map(([table]) => table),
    )} where to_regclass(name) is not null
  `
  const isThere = new Set(there.map(({ name }) => name))
  return Promise.all(
    tables.map(async ([table, { size: expected }]) => {
      const found = isThere.has(table) ? await countRows(sql, table, expected) : 0
      return { table: nameOf.get(table)!, expected, found }
    }),
  )
}

/** Counts rows; `table` is a quoted name. */
async function countRows(sql: Sql, table: string, expected: number): Promise<number> {
  const limit = Math.max(expected, MAX_COUNTED)
  const [row] = await sql.unsafe<[{ rows: number }]>(
    `select count(*)::int as rows from (select from ${table} limit ${limit}) as counted`,
  )
  return row.rows
}

function describe({ table, column, kind, declared, actual }: Difference): string {
  const what = column === null ? table : `${table}.${column}`
  return `${what}: ${kind}, declared ${declared ?? 'not at all'}, found ${actual ?? 'nothing'}`
}
