import type { SchemaFile } from '../../archive/archive.ts'
import { answers, send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'
import { fileFailure, isEndOfSession, StatementError } from '../failure.ts'
import type { Made } from '../parser/makes.ts'
import { parseScripts, type Script, sendScript } from '../run/run-file.ts'
import { isLockError } from '../run/tries.ts'
import { cutLateKeys, sendLateKey } from '../tables/late-keys.ts'

/** Tables and functions of the archive that are created before the migrations that name them. */
export interface Needs {
  /** Whether the migration names something that has not been created yet. */
  isNeededBy(file: SchemaFile): boolean
  /**
   * Creates what the migrations name, as far as that is possible yet. The first call also creates
   * all tables that no migration creates.
   */
  provideFor(files: SchemaFile[]): Promise<void>
  /** Names of the created tables, without schema. */
  tables: Set<string>
  /** Names of the created functions, without schema. */
  functions: Set<string>
}

/** A file of tables/ or functions/ that is not in place in the database. */
interface Item {
  script: Script
  /** Names of what the file creates, without schema. */
  names: string[]
  isTable: boolean
}

/**
 * Finds what pending migrations may need from tables/ and functions/: declared tables that do not
 * exist and that no migration of the archive creates, and functions whose files are new or changed.
 * Function bodies are checked at the end of the deploy. Only functions that can be created a second
 * time are created ahead.
 * @throws {GatewayError} with the section's code if a file has a statement that a deploy cannot run
 */
export async function findNeeds(
  sql: Sql,
  database: string,
  { tables, functions }: { tables: SchemaFile[]; functions: SchemaFile[] },
  migrations: Script[],
  pending: Script[],
  isInPlace: (file: SchemaFile) => boolean,
): Promise<Needs> {
  const made = new Set(migrations.flatMap(madeBy))
  const tableItems = (await parseScripts('table_deploy_failed', 'Table file', tables))
    .map((script) => tableItem(script))
    .filter(({ names }) => names.length > 0 && !names.some((name) => made.has(name)))
  const there = await findRelations(
    sql,
    tableItems.flatMap(({ names }) => names),
  )
  const newFunctions = functions.filter((file) => !isInPlace(file))
  const own = ownFunctions(pending)
  const functionItems = (
    await parseScripts('function_deploy_failed', 'Function file', newFunctions)
  )
    .flatMap(functionItem)
    .filter(({ script }) => !script.statements.every(({ made }) => made && own.has(textOf(made))))
  const waiting = new Set([
    ...tableItems.filter(({ names }) => !names.some((name) => there.has(name))),
    ...functionItems,
  ])
  return needsFrom(sql, database, waiting)
}

function needsFrom(sql: Sql, database: string, waiting: Set<Item>): Needs {
  const tables = new Set<string>()
  const functions = new Set<string>()
  let isFirst = true
  const wantedBy = (files: SchemaFile[]) => {
    const wanted = new Set([...waiting].filter(({ isTable }) => isTable && isFirst))
    // A file may have a hundred thousand statements.
    if (waiting.size === 0) return wanted
    const words = new Set(files.flatMap(fileWords))
    for (const item of wanted) for (const word of textWords(item)) words.add(word)
    for (let size = -1; size !== wanted.size; ) {
      size = wanted.size
      for (const item of waiting) {
        if (wanted.has(item) || !item.names.some((name) => words.has(name))) continue
        wanted.add(item)
        for (const word of textWords(item)) words.add(word)
      }
    }
    return wanted
  }
  return {
    tables,
    functions,
    isNeededBy: (file) => wantedBy([file]).size > 0,
    provideFor: async (files) => {
      const wanted = inOrder(wantedBy(files))
      isFirst = false
      for (const item of await make(sql, database, wanted)) {
        waiting.delete(item)
        for (const name of item.names) (item.isTable ? tables : functions).add(name)
      }
    },
  }
}

/** Puts functions that a table names before the tables, and all others after them. */
function inOrder(items: Set<Item>): Item[] {
  const tables = [...items].filter(({ isTable }) => isTable)
  const functions = [...items].filter(({ isTable }) => !isTable)
  const named = new Set(tables.flatMap(textWords))
  const isFirst = ({ names }: Item) => names.some((name) => named.has(name))
  return [...functions.filter(isFirst), ...tables, ...functions.filter((item) => !isFirst(item))]
}

/**
 * Creates the items, each rolled back to a savepoint if it fails.
 * @returns the items that could be created
 */
async function make(sql: Sql, database: string, items: Item[]): Promise<Item[]> {
  if (items.length === 0) return []
  if (await tryAll(sql, database, items)) return items
  const made = new Set<Item>()
  for (let size = -1; size !== made.size; ) {
    size = made.size
    for (const item of items)
      if (!made.has(item) && (await tryAll(sql, database, [item]))) made.add(item)
  }
  const circle = items.filter((item) => item.isTable && !made.has(item))
  if (circle.length > 1 && (await tryAll(sql, database, circle, true))) {
    for (const item of circle) made.add(item)
  }
  return [...made]
}

async function tryAll(
  sql: Sql,
  database: string,
  items: Item[],
  isCircle = false,
): Promise<boolean> {
  const all = items.map(({ script }) => script)
  const { scripts, late } = isCircle ? await cutLateKeys(all) : { scripts: all, late: [] }
  try {
    await answers([
      send(sql.unsafe('savepoint ahead; set local check_function_bodies = off')),
      ...scripts.flatMap((script) => sendScript(sql, script)),
      ...late.map((key) => sendLateKey(sql, key)),
      send(sql.unsafe('set local check_function_bodies = on; release savepoint ahead')),
    ])
    return true
  } catch (error) {
    if (!(error instanceof StatementError) || isLockError(error) || isEndOfSession(error)) {
      throw fileFailure('migration_failed', 'Table or function file', database, error)
    }
    await sql.unsafe('rollback to savepoint ahead; release savepoint ahead')
    return false
  }
}

/** DROP statements are left out: the table does not exist. */
function tableItem({ file, statements }: Script): Item {
  const kept = statements.filter(({ facts }) => facts.kind !== 'DropStmt')
  const script = { file, statements: kept }
  return { script, names: kept.flatMap(tablesOf), isTable: true }
}

const TABLES = new Set(['CreateStmt', 'CreateForeignTableStmt'])

function tablesOf({ facts }: Script['statements'][number]): string[] {
  return TABLES.has(facts.kind) ? facts.makes : []
}

const REPEATABLE = new Set(['CreateFunctionStmt', 'CommentStmt', 'GrantStmt', 'DropStmt'])

function functionItem(script: Script): Item[] {
  const { statements } = script
  const drops = statements.some(({ facts }) => facts.kind === 'DropStmt')
  const canRepeat = statements.every(
    ({ facts }) =>
      REPEATABLE.has(facts.kind) &&
      (facts.isReplacing || drops || facts.kind !== 'CreateFunctionStmt'),
  )
  const names = statements.flatMap(({ routine }) => routine ?? [])
  return canRepeat && names.length > 0 ? [{ script, names, isTable: false }] : []
}

/**
 * Returns the functions that the migrations create before any other statement of theirs names them.
 */
function ownFunctions(scripts: Script[]): Set<string> {
  const named = new Set<string>()
  const own = new Set<string>()
  for (const { routine, made, facts, text } of scripts.flatMap(({ statements }) => statements)) {
    if (routine !== undefined && made && !named.has(routine)) own.add(textOf(made))
    // DROP names a function without needing it.
    if (facts.kind !== 'DropStmt') for (const word of wordsOf(text)) named.add(word)
  }
  return own
}

function textOf({ kind, name, types }: Made): string {
  return JSON.stringify([kind, name, types])
}

/** Returns the names of the tables and types that a migration creates. */
function madeBy({ statements }: Script): string[] {
  return statements.flatMap(({ facts }) => facts.makes)
}

const words = new WeakMap<SchemaFile, string[]>()

function textWords({ script }: Item): string[] {
  return fileWords(script.file)
}

function fileWords(file: SchemaFile): string[] {
  const known = words.get(file) ?? [...new Set(wordsOf(file.text))]
  words.set(file, known)
  return known
}

/** Returns every word of a text that may be a name, as written and in lower case. */
function wordsOf(text: string): string[] {
  const found = text.match(/[\p{L}_][\p{L}\p{N}_$]*/gu) ?? []
  return [...found, ...found.map((word) => word.toLowerCase())]
}

/** Returns the names that exist as a relation: on the search path, or as a table in any schema. */
async function findRelations(sql: Sql, names: string[]): Promise<Set<string>> {
  if (names.length === 0) return new Set()
  const rows = await sql.unsafe<{ name: string }[]>(`
    select name
    from json_array_elements_text(${quoteLiteral(JSON.stringify(names))}::json) name
    where to_regclass(quote_ident(name)) is not null
      or exists (select from pg_class where relname = name and relkind in ('r', 'p', 'f'))
  `)
  return new Set(rows.map(({ name }) => name))
}
