import type { SchemaFile } from '../../archive/archive.ts'
import { GatewayError } from '../../errors.ts'
import { answers } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'
import { fileFailure } from '../failure.ts'
import type { Statement } from '../parser/statement.ts'
import { type Script, sendScript } from '../run/run-file.ts'

/**
 * A value that is added to an enum can be used by transactions that begin after the commit alone
 * (PostgreSQL manual, "ALTER TYPE"). How pending migrations get theirs:
 */
export interface EnumPlan {
  /** To be committed before the deploy begins: nothing that is pending makes or renames the type. */
  ahead: Script[]
  /** What need not run in its place: the value is there then. */
  passedOver: Set<Statement>
  /** Migrations behind which the deploy has to commit. */
  commitAfter: Set<SchemaFile>
  /** To be committed right before a migration: one before it may make or rename the type. */
  before: Map<SchemaFile, Script>
}

/** A plan of no values. */
export function noEnumPlan(): EnumPlan {
  return { ahead: [], passedOver: new Set(), commitAfter: new Set(), before: new Map() }
}

/**
 * Works out where the new values of pending migrations are committed. A dry run cannot commit them:
 * it adds them in their place, where PostgreSQL says which use it does not allow.
 */
export async function planEnumValues(
  sql: Sql,
  scripts: Script[],
  isInTransaction: (script: Script) => boolean,
  isDryRun: boolean,
): Promise<EnumPlan> {
  const plan = noEnumPlan()
  const added = scripts
    .filter(isInTransaction)
    .flatMap(({ file, statements }) =>
      statements.filter(isAddition).map((statement) => ({ file, statement })),
    )
  if (added.length === 0) return plan
  const labels = await readLabels(
    sql,
    added.map(({ statement }) => statement.facts.enumChange!.type),
  )
  for (const { file, statement } of added) {
    const { type, label } = statement.facts.enumChange!
    const known = labels.get(type)
    const own = scripts.filter((script) => script.file === file)
    if (isTouchedBefore(own, statement)) {
      plan.commitAfter.add(file)
      continue
    }
    if (known === undefined || isTouchedBefore(scripts, statement)) {
      if (isDryRun) continue
      const others = plan.before.get(file)?.statements ?? []
      plan.before.set(file, { file, statements: [...others, statement] })
      continue
    }
    if (known.has(label) || !isDryRun) plan.passedOver.add(statement)
    if (!known.has(label) && !isDryRun) plan.ahead.push({ file, statements: [statement] })
    known.add(label)
  }
  return plan
}

/**
 * Adds the values, each in a transaction of its own; none may be open.
 * @throws {GatewayError} migration_failed
 */
export async function addAhead(
  sql: Sql,
  database: string,
  { ahead }: Pick<EnumPlan, 'ahead'>,
): Promise<void> {
  try {
    await answers(ahead.flatMap((script) => sendScript(sql, script)))
  } catch (error) {
    throw fileFailure('migration_failed', 'Migration', database, error)
  }
}

/**
 * Adds the values that a migration needs by its beginning, as far as their types are there by then;
 * no transaction may be open. They are passed over in their place.
 * @throws {GatewayError} migration_failed
 */
export async function addBefore(
  sql: Sql,
  database: string,
  plan: EnumPlan,
  file: SchemaFile,
): Promise<void> {
  const statements = plan.before.get(file)?.statements ?? []
  const types = statements.map(({ facts }) => facts.enumChange!.type)
  const labels = await readLabels(sql, types)
  const added = statements.filter(({ facts }) => labels.has(facts.enumChange!.type))
  const missing = added.filter(({ facts }) => {
    const { type, label } = facts.enumChange!
    return !labels.get(type)!.has(label)
  })
  await addAhead(sql, database, { ahead: missing.map((one) => ({ file, statements: [one] })) })
  for (const statement of added) plan.passedOver.add(statement)
}

function isAddition({ facts }: Statement): boolean {
  return facts.enumChange?.renamed === null
}

/** Statements that may do anything, and say what in their text alone. */
const UNTOLD = new Set(['', 'DoStmt', 'CallStmt', 'SelectStmt', 'ExecuteStmt'])

/** Whether a statement that runs before may make the type, or another one of its values. */
function isTouchedBefore(scripts: Script[], addition: Statement): boolean {
  const { name } = addition.facts.enumChange!
  for (const { statements } of scripts) {
    const isHere = statements.includes(addition)
    for (const { facts, text } of statements) {
      if (isHere && addition.facts === facts) return false
      // Names are found elsewhere from then on.
      if (isHere && facts.kind === 'VariableSetStmt') return true
      const isRenaming = facts.enumChange?.name === name && facts.enumChange.renamed !== null
      if (facts.makes.includes(name) || facts.unmakes.includes(name) || isRenaming) return true
      if (UNTOLD.has(facts.kind) && text.includes(name)) return true
    }
  }
  return false
}

/** The values of those of the types that are enums, by the type as it is written. */
async function readLabels(sql: Sql, types: string[]): Promise<Map<string, Set<string>>> {
  const rows = await sql.unsafe<{ type: string; labels: string[] }[]>(`
    select type, json_agg(e.enumlabel) as labels
    from (
      select distinct type from json_array_elements_text(${quoteLiteral(JSON.stringify(types))}::json) type
    ) as types
    join pg_enum e on e.enumtypid = to_regtype(type)
    group by type
  `)
  return new Map(rows.map(({ type, labels }) => [type, new Set(labels)]))
}

const UNSAFE_NEW_ENUM_VALUE_USAGE = '55P04'

/** Whether something uses a value of an enum that is not committed. */
export function isUnsafeEnumUse(error: unknown): error is GatewayError {
  return error instanceof GatewayError && error.details.sqlstate === UNSAFE_NEW_ENUM_VALUE_USAGE
}

/** What a dry run says of such a use: a deploy has the value committed by then. */
export function uncheckedUse({ details }: GatewayError): string {
  const { file, line } = details
  const place = line === undefined ? `${file}` : `${file}, line ${line},`
  return `${place} uses a new value of an enum: a dry run can check neither it nor what comes behind it`
}
