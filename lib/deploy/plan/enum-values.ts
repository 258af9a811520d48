import type { SchemaFile } from '../../archive/archive.ts'
import { GatewayError } from '../../errors.ts'
import { answers } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'
import { fileFailure } from '../failure.ts'
import type { Statement } from '../parser/statement.ts'
import { type Script, sendScript } from '../run/run-file.ts'

/**
 * Where the new enum values of pending migrations are committed. A value that is added to an enum
 * can only be used after the adding transaction has committed (PostgreSQL manual, "ALTER TYPE").
 */
export interface EnumPlan {
  /**
   * Added and committed before the deploy begins; no pending statement creates or renames their
   * types.
   */
  ahead: Script[]
  /** Statements that are skipped in their migration, because the value exists by then. */
  passedOver: Set<Statement>
  /** Migrations after which the deploy must commit. */
  commitAfter: Set<SchemaFile>
  /**
   * Added and committed right before a migration, because an earlier pending statement may create
   * or rename the type.
   */
  before: Map<SchemaFile, Script>
}

/** Returns a plan without new values. */
export function noEnumPlan(): EnumPlan {
  return { ahead: [], passedOver: new Set(), commitAfter: new Set(), before: new Map() }
}

/**
 * Plans where the new enum values of pending migrations are committed. A dry run cannot commit: it
 * adds the values where the migrations do, and PostgreSQL refuses to use them in the same
 * transaction.
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

/** Adds the values of `ahead`, each in a transaction of its own. No transaction may be open. */
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
 * Adds the values that a migration must find committed, and marks their statements as passed over.
 * Values whose type does not exist yet are left to the migration. No transaction may be open.
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

/**
 * Statements that may run any SQL; only their text tells which types they name. '' is a text that
 * the parser could not read.
 */
const UNTOLD = new Set(['', 'DoStmt', 'CallStmt', 'SelectStmt', 'ExecuteStmt'])

/** A statement that may change the search path: set_config, or a block with SET. */
const SETS_PATH = /set_config|search_path/i

/**
 * Whether a statement before the addition may create, rename or drop the type, or rename one of its
 * values.
 */
function isTouchedBefore(scripts: Script[], addition: Statement): boolean {
  const { name, type } = addition.facts.enumChange!
  const hasSchema = type.includes('"."')
  for (const { statements } of scripts) {
    const isHere = statements.includes(addition)
    for (const { facts, text } of statements) {
      if (isHere && addition.facts === facts) return false
      // Names may resolve differently from here on. A name with a schema does not.
      const mayMove = facts.kind === 'VariableSetStmt' || (!hasSchema && SETS_PATH.test(text))
      if (isHere && mayMove) return true
      const isRenaming = facts.enumChange?.name === name && facts.enumChange.renamed !== null
      if (facts.makes.includes(name) || facts.unmakes.includes(name) || isRenaming) return true
      if (UNTOLD.has(facts.kind) && text.includes(name)) return true
    }
  }
  return false
}

/** Returns the labels of the types that are enums, keyed by the type as the statement spells it. */
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

/** Whether an error says that an uncommitted enum value was used (55P04). */
export function isUnsafeEnumUse(error: unknown): error is GatewayError {
  return error instanceof GatewayError && error.details.sqlstate === UNSAFE_NEW_ENUM_VALUE_USAGE
}

/** Returns the warning of a dry run about such a use. A real deploy commits the value first. */
export function uncheckedUse({ details }: GatewayError): string {
  const { file, line } = details
  const place = line === undefined ? `${file}` : `${file}, line ${line},`
  return `${place} uses a new value of an enum: a dry run can check neither this statement nor those after it`
}
