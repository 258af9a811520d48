import type { SchemaFile } from '../../archive/archive.ts'
import { sentAhead } from '../../postgres/ahead.ts'
import { answers, send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { tableName } from '../changes/changes.ts'
import { fileFailure, lineOf } from '../failure.ts'
import { byTable, compareColumns, type Difference, sendColumns } from '../tables/columns.ts'
import { cutLateKeys, type LateKey, sendLateKey } from '../tables/late-keys.ts'
import { planScratch } from '../tables/scratch-plan.ts'
import { findExisting, type Placed } from '../types/existing.ts'
import { asItIs, runInAnyOrder } from '../types/rounds.ts'
import { inScratch, moved } from '../types/scratch.ts'
import { isDrop, readSteps, type Step, sortByReference, subjectOf } from '../types/syntax.ts'
import { type Ask, parseScripts } from './run-file.ts'

export type { Difference } from '../tables/columns.ts'

/** Result of deploying the declared tables. */
export interface TablesResult {
  created: string[]
  differences: Difference[]
  warnings: string[]
}

const CODE = 'table_deploy_failed'
const WHAT = 'Table file'

/** Parsed declarations and, once it has been sent, the query for the relations that exist. */
export interface Declared {
  scripts: Step[][]
  /** Files whose statements the parser can all read. */
  readable: Step[][]
  /**
   * The readable files, each after the tables that it refers to. Foreign keys that form a cycle are
   * in `late`.
   */
  sorted: Step[][]
  late: LateKey[]
  existing?: ReturnType<typeof findExisting>
}

/**
 * Parses and sorts declarations.
 * @throws {GatewayError} table_deploy_failed if a file has a statement that a deploy cannot run
 */
export async function readDeclared(files: SchemaFile[]): Promise<Declared> {
  const scripts = await readSteps(await parseScripts(CODE, WHAT, files))
  const readable = scripts.filter((steps) => steps.every((step) => step.node))
  return { scripts, readable, ...(await inOrder(readable)) }
}

/** Sends the query for existing relations ahead of `deployTables`. */
export function sendExisting(sql: Sql, declared: Declared): void {
  declared.existing = sentAhead(sql, askExisting(sql, declared))
}

/** Sends the query for existing relations, in the order of the files. */
function askExisting(sql: Sql, { scripts, sorted }: Declared): ReturnType<typeof findExisting> {
  const files = scripts.flatMap(([step]) => (step ? [step.file] : []))
  return findExisting(sql, sorted.toSorted(byPlace(files)))
}

/**
 * Compares the database with the files, each of which declares one or several tables. Files with a
 * missing table run, in any order that they need, without the statements about existing tables.
 * Existing tables are not changed: their declarations run in a scratch schema that is rolled back,
 * and PostgreSQL's catalogs show how the columns differ.
 * @throws {GatewayError} table_deploy_failed if a declaration cannot be run
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

/**
 * Sorts files after the tables that they refer to. Foreign keys that form a cycle become separate
 * statements at the end.
 */
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
 * Returns how existing tables differ from the files that declare them. Must be called in a
 * transaction, which it leaves unchanged.
 * @throws {GatewayError} table_deploy_failed if a declaration cannot be run
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
 * Runs texts that the parser could not read and rolls them back, so that PostgreSQL reports their
 * errors. A text that PostgreSQL accepts uses syntax newer than the parser; it is skipped with a
 * warning.
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

/** Whether another kind of relation, such as a view, has the table's name. */
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

/**
 * Runs the files with a missing table, without the statements for or about existing objects and
 * without DROP.
 * @returns warnings
 */
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

/** Compares existing tables with their declarations. */
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
  const columnsOf = byTable(columns)
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
