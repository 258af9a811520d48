import type { SchemaFile } from '../../archive/archive.ts'
import { answers, send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { tableName } from '../changes/changes.ts'
import { fileFailure, lineOf } from '../failure.ts'
import { compareColumns, type Difference, sendColumns } from '../tables/columns.ts'
import { cutLateKeys, type LateKey, sendLateKey } from '../tables/late-keys.ts'
import { planScratch } from '../tables/scratch-plan.ts'
import { findExisting, type Placed } from '../types/existing.ts'
import { asItIs, runInAnyOrder } from '../types/rounds.ts'
import { inScratch, moved } from '../types/scratch.ts'
import { isDrop, readSteps, type Step, sortByReference, subjectOf } from '../types/syntax.ts'
import { type Ask, parseScripts } from './run-file.ts'

export type { Difference } from '../tables/columns.ts'

/** What became of the declared tables. */
export interface TablesResult {
  created: string[]
  differences: Difference[]
  warnings: string[]
}

const CODE = 'table_deploy_failed'
const WHAT = 'Table file'

/** Declarations, taken apart, and the question what is there of them, once it has been sent. */
export interface Declared {
  scripts: Step[][]
  /** Those of them that the parser reads. */
  readable: Step[][]
  /** The same, each behind what it refers to, but for keys that close a circle. */
  sorted: Step[][]
  late: LateKey[]
  existing?: ReturnType<typeof findExisting>
}

/** @throws {GatewayError} table_deploy_failed where a file has a statement that no deploy can run */
export async function readDeclared(files: SchemaFile[]): Promise<Declared> {
  const scripts = await readSteps(await parseScripts(CODE, WHAT, files))
  const readable = scripts.filter((steps) => steps.every((step) => step.node))
  return { scripts, readable, ...(await inOrder(readable)) }
}

/** Asks what is there, ahead of `deployTables`. */
export function sendExisting(sql: Sql, declared: Declared): void {
  declared.existing = askExisting(sql, declared)
  // Whoever waits for it is told.
  declared.existing.catch(() => {})
}

/** In the order of the files. */
function askExisting(sql: Sql, { scripts, sorted }: Declared): ReturnType<typeof findExisting> {
  const files = scripts.flatMap(([step]) => (step ? [step.file] : []))
  return findExisting(sql, sorted.toSorted(byPlace(files)))
}

/**
 * Holds the database against the files, each of which declares one or several tables. Files with a
 * table that does not exist are run, whatever order they need, but for what is about tables that
 * exist. Tables that exist are not touched: their declarations are run in a schema that is rolled
 * back, and PostgreSQL's catalogs tell how their columns differ.
 * @throws {GatewayError} table_deploy_failed where a declaration cannot be run
 */
export async function deployTables(
  sql: Sql,
  database: string,
  files: SchemaFile[],
  ask: Ask = async () => undefined,
  asked?: Declared,
): Promise<TablesResult> {
  const declared = asked ?? (await readDeclared(files))
  const { scripts } = declared
  try {
    const warnings = await checkUnread(sql, scripts)
    const { readable, sorted, late } = declared
    const { placed, currentSchema } = await (declared.existing ?? askExisting(sql, declared))

    warnings.push(...readable.filter(hasNoTable).map(noTableWarning))
    warnings.push(...(await createTables(sql, sorted, late, placed, currentSchema, ask)))
    const compared = await compareTables(sql, sorted, placed, currentSchema)
    return {
      created: placed.filter(isMissing).map(nameOf),
      differences: [...placed.filter(isOther).map(otherKind), ...compared.differences],
      warnings: [...warnings, ...compared.warnings],
    }
  } catch (error) {
    throw fileFailure(CODE, WHAT, database, error)
  }
}

function byPlace(files: SchemaFile[]): (a: Step[], b: Step[]) => number {
  return ([a], [b]) => files.indexOf(a!.file) - files.indexOf(b!.file)
}

/** Behind what they refer to; foreign keys that close a circle come last, by themselves. */
async function inOrder(files: Step[][]): Promise<{ sorted: Step[][]; late: LateKey[] }> {
  const sorted = sortByReference(files).filter((steps) => steps.length > 0)
  const cut = await cutLateKeys(
    sorted.map((steps) => ({
      file: steps[0]!.file,
      statements: steps.map(({ statement }) => statement),
    })),
  )
  if (cut.late.length === 0) return { sorted, late: [] }
  return { sorted: await readSteps(cut.scripts), late: cut.late }
}

/**
 * How the tables that exist differ from the files that declare them. To be asked in a transaction,
 * which is as it was afterwards.
 * @throws {GatewayError} table_deploy_failed where a declaration cannot be run
 */
export async function compareDeclared(
  sql: Sql,
  database: string,
  files: SchemaFile[],
): Promise<Difference[]> {
  const scripts = await readSteps(await parseScripts(CODE, WHAT, files))
  const readable = scripts.filter((steps) => steps.every((step) => step.node))
  try {
    const { placed, currentSchema } = await findExisting(sql, readable)
    const sorted = sortByReference(readable)
    const { differences } = await compareTables(sql, sorted, placed, currentSchema)
    return [...placed.filter(isOther).map(otherKind), ...differences]
  } catch (error) {
    throw fileFailure(CODE, WHAT, database, error)
  }
}

/**
 * Has PostgreSQL say what is wrong with texts that the parser gave up on. One that it takes is of a
 * newer PostgreSQL than the parser.
 */
async function checkUnread(sql: Sql, files: Step[][]): Promise<string[]> {
  const unread = files.flat().filter((step) => !step.node)
  for (const step of unread) {
    await answers([
      send(sql.unsafe('savepoint unread')),
      asItIs(sql, step)(),
      send(sql.unsafe('rollback to savepoint unread; release savepoint unread')),
    ])
  }
  return unread.map(
    ({ file }) =>
      `${file.path} was neither run nor compared: it is written for a newer PostgreSQL than the gateway knows`,
  )
}

function hasNoTable(steps: Step[]): boolean {
  return steps.length > 0 && !steps.some(({ declares }) => declares?.kind === 'table')
}

function noTableWarning([step]: Step[]): string {
  return `${step!.file.path} declares no table, so it was not run`
}

function isMissing({ kind, existing }: Placed): boolean {
  return kind === 'table' && existing === null
}

/** Whether something else has the table's name, such as a view. */
function isOther({ kind, existing }: Placed): boolean {
  return kind === 'table' && existing !== null && existing !== 'table'
}

function otherKind(table: Placed): Difference {
  return {
    table: nameOf(table),
    column: null,
    kind: 'missing_table',
    declared: 'table',
    actual: table.existing,
  }
}

function nameOf({ schema, name }: Placed): string {
  return tableName({ schema: schema ?? '', name })
}

/** Runs the files that have a missing table, but not what is there or is about what is there. */
async function createTables(
  sql: Sql,
  files: Step[][],
  late: LateKey[],
  placed: Placed[],
  currentSchema: string | null,
  ask: Ask,
): Promise<string[]> {
  const missing = new Set(placed.filter(isMissing).map(({ step }) => step))
  const there = new Set(placed.filter(({ existing }) => existing !== null).map(({ step }) => step))
  const existing = placed.filter(({ kind, existing }) => kind === 'table' && existing !== null)

  const toRun = files.filter((steps) => steps.some((step) => missing.has(step)))
  const isAboutExisting = ({ node }: Step) => {
    const subject = node && subjectOf(node)
    const home = subject?.schemaname ?? currentSchema
    return existing.some(({ name, schema }) => name === subject?.relname && schema === home)
  }
  const left = toRun.map((steps) =>
    steps.filter((step) => !there.has(step) && !isAboutExisting(step) && !isDrop(step)),
  )
  for (const { file, statement } of left.flat()) await ask(file, statement)
  const run = new Set(left.flat().map(({ statement }) => statement))
  const keys = late.filter(({ table }) => run.has(table))
  await runInAnyOrder(sql, [
    ...left.map((steps) => steps.map((step) => asItIs(sql, step))),
    ...keys.map((key) => [() => sendLateKey(sql, key)]),
  ])
  return toRun
    .flat()
    .filter(isDrop)
    .map(
      ({ file, statement }) =>
        `${file.path}, line ${lineOf(file, statement)}: a DROP was passed over`,
    )
}

/** Compares the tables that exist with what the files declare. */
async function compareTables(
  sql: Sql,
  files: Step[][],
  placed: Placed[],
  currentSchema: string | null,
): Promise<Pick<TablesResult, 'differences' | 'warnings'>> {
  const plan = planScratch(files, placed, currentSchema)
  const warnings = plan.skipped.map(
    (table) =>
      `${nameOf(table)} was not compared: it is a partition of a table that no file declares`,
  )
  if (plan.tables.length === 0) return { differences: [], warnings }

  const tasks = plan.files.map((steps) => steps.map((step) => moved(sql, step, plan.schemaOf)))
  const names = plan.tables.flatMap(({ schema, name }) => [
    { schema, name },
    { schema: plan.schemas.get(schema)!, name },
  ])
  const columns = await inScratch(sql, plan.schemas, tasks, () => sendColumns(sql, names))
  const columnsOf = (schema: string | undefined, table: string) =>
    columns.filter((column) => column.schema === schema && column.table === table)
  return {
    differences: plan.tables.flatMap((table) =>
      compareColumns(
        nameOf(table),
        columnsOf(plan.schemas.get(table.schema), table.name),
        columnsOf(table.schema, table.name),
      ),
    ),
    warnings,
  }
}
