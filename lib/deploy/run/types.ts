import type { SchemaFile } from '../../archive/archive.ts'
import { GatewayError } from '../../errors.ts'
import { isPostgresError } from '../../postgres/errors.ts'
import { answers, type Sent, send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { asStatementError, fileFailure, lineOf } from '../failure.ts'
import { changeOf } from '../types/change.ts'
import { displayName, findExisting, type Placed } from '../types/existing.ts'
import { asItIs, runInAnyOrder } from '../types/rounds.ts'
import { inScratch, moved, scratchSchemas } from '../types/scratch.ts'
import { sendTypeStates, type TypeState } from '../types/state.ts'
import { isDrop, readSteps, type Step, sortByReference, type TypeKind } from '../types/syntax.ts'
import { type Ask, parseScripts, readScripts } from './run-file.ts'

/** Result of deploying the types; names are such as public.appointment_status. */
export interface TypesResult {
  created: string[]
  changed: string[]
  warnings: string[]
  /**
   * ALTER TYPE statements for enum values that must be committed before they can be used; they have
   * not run.
   */
  newValues: string[]
}

/** An existing type that a file declares. */
interface KnownType extends Placed {
  kind: TypeKind
  schema: string
}

const CODE = 'type_deploy_failed'
const WHAT = 'Type file'

const NEW_TYPE_HINT =
  'Declare a new type under another name; a migration can then convert the columns to the new type ' +
  'and drop this one'

/**
 * Brings enums, composite types and domains to the state of the files. Missing types are created,
 * in any order that they need. An existing type is compared with its file by PostgreSQL's catalogs
 * and altered in place, as far as PostgreSQL can: enums get new values, composite types get
 * attributes at the end, domains get another default, NOT NULL and checks. Nothing is dropped,
 * since data may use it. Other statements of a changed file run as they are.
 * A new enum value cannot be used before the deploy has committed (PostgreSQL manual, "ALTER
 * TYPE").
 * @param known checksum of each file when it was deployed last, by name; unchanged files are
 *   skipped
 * @param leavesNewValues returns missing enum values in `newValues` instead of adding them
 * @throws {GatewayError} type_deploy_failed
 */
export async function deployTypes(
  sql: Sql,
  database: string,
  files: SchemaFile[],
  known: Map<string, string>,
  ask: Ask = async () => undefined,
  leavesNewValues = false,
): Promise<TypesResult> {
  const result: TypesResult = {
    created: [],
    changed: [],
    newValues: [],
    warnings: [],
  }
  const changed = files.filter((file) => known.get(file.name) !== file.checksum)
  if (changed.length === 0) return result

  const steps = await readSteps(await parseScripts(CODE, WHAT, changed))
  try {
    const types = (await findExisting(sql, steps)).placed.filter(isType)
    const existing = types.filter(isKnown)
    for (const type of existing) checkKind(database, type)

    await createTypes(sql, steps.flat(), existing, ask)
    result.warnings.push(...steps.flat().filter(isDrop).map(dropWarning))
    result.created = types.filter((type) => type.existing === null).map(displayName)
    const isRange = ({ kind }: KnownType) => kind === 'range type'
    result.warnings.push(...existing.filter(isRange).map(rangeWarning))
    const comparable = existing.filter((type) => !isRange(type))
    Object.assign(result, await alterTypes(sql, database, comparable, leavesNewValues))
    return result
  } catch (error) {
    throw fileFailure(CODE, WHAT, database, error)
  }
}

/** Returns `known` without the files of which a type no longer exists. */
export async function withoutMissing(
  sql: Sql,
  files: SchemaFile[],
  known: Map<string, string>,
): Promise<Map<string, string>> {
  const unchanged = files.filter(({ name, checksum }) => known.get(name) === checksum)
  if (unchanged.length === 0) return known
  const { placed } = await findExisting(sql, await readSteps(await readScripts(unchanged)))
  const lacking = placed.filter((type) => isType(type) && type.existing === null)
  const names = new Set(lacking.map(({ step }) => step.file.name))
  return new Map([...known].filter(([name]) => !names.has(name)))
}

/** Returns a warning for each file that is gone. */
export function typeWarnings(files: SchemaFile[], known: Map<string, string>): string[] {
  const names = new Set(files.map((file) => file.name))
  return [...known.keys()]
    .filter((name) => !names.has(name))
    .map((name) => `types/${name} is gone; its types stay`)
}

/**
 * Adds enum values, each in a transaction of its own, so that they can be used. Rolls the open
 * transaction back first, if there is one.
 */
export async function addValues(sql: Sql, statements: string[], isOpen = true): Promise<void> {
  if (isOpen) await sql.unsafe('rollback')
  await answers(statements.map((text) => send(sql.unsafe(text))))
}

function isType({ kind }: Placed): boolean {
  return kind !== 'table' && kind !== 'sequence'
}

function isKnown(type: Placed): type is KnownType {
  return type.existing !== null
}

function checkKind(database: string, type: KnownType): void {
  if (type.existing === type.kind) return
  const cause = `${displayName(type)} is ${withArticle(type.existing!)} in the database and ${withArticle(type.kind)} in the file`
  throw cannotChange(database, type.step, cause)
}

function dropWarning({ file, statement }: Step): string {
  return `${file.path}, line ${lineOf(file, statement)}: a DROP was passed over; types stay, since data may use them`
}

function rangeWarning(type: KnownType): string {
  return `${type.kind} ${displayName(type)} exists and cannot be changed; it was not compared`
}

function withArticle(kind: string): string {
  return `${/^[aeiou]/.test(kind) ? 'an' : 'a'} ${kind}`
}

/** Runs all statements except declarations of existing types and DROP. */
async function createTypes(
  sql: Sql,
  steps: Step[],
  existing: KnownType[],
  ask: Ask,
): Promise<void> {
  const passedOver = new Set(existing.map(({ step }) => step))
  const left = steps.filter((step) => !passedOver.has(step) && !isDrop(step))
  for (const { file, statement } of left) await ask(file, statement)
  const sorted = sortByReference(left.map((step) => [step]))
  await runInAnyOrder(
    sql,
    sorted.map((group) => group.map((step) => asItIs(sql, step))),
  )
}

/** Alters existing types that differ from their files. */
async function alterTypes(
  sql: Sql,
  database: string,
  types: KnownType[],
  leavesNewValues: boolean,
): Promise<Pick<TypesResult, 'changed' | 'newValues'>> {
  if (types.length === 0) return { changed: [], newValues: [] }
  const scratch = scratchSchemas(types.map(({ schema }) => schema))
  const states = await readStates(sql, types, scratch)

  const changes = types.flatMap((type) => {
    const actual = states.get(keyOf(type))!
    const declared = states.get(keyOf({ ...type, schema: scratch.get(type.schema)! }))!
    const change = changeOf(type.kind, actual, declared)
    if ('refusal' in change) throw cannotChange(database, type.step, change.refusal)
    return change.statements.length > 0 ? [{ type, statements: change.statements }] : []
  })
  const isLeft = ({ type }: { type: KnownType }) => leavesNewValues && type.kind === 'enum'
  await answers(
    changes
      .filter((change) => !isLeft(change))
      .flatMap(({ type, statements }) => statements.map((text) => sendAlter(sql, type.step, text))),
  )
  return {
    changed: changes.map(({ type }) => displayName(type)),
    newValues: changes.filter(isLeft).flatMap(({ statements }) => statements),
  }
}

/**
 * Reads the state of each type in the database, and the state that its file would create now, from
 * a scratch schema.
 */
async function readStates(
  sql: Sql,
  types: KnownType[],
  scratch: Map<string, string>,
): Promise<Map<string, TypeState>> {
  const declarations = types.map((type) => [
    // Only the type's own name moves to the scratch schema: the types that it refers to exist by
    // now.
    moved(sql, type.step, ({ what }) => (what === 'itself' ? scratch.get(type.schema) : undefined)),
  ])
  const names = types.flatMap(({ schema, name }) => [
    { schema, name },
    { schema: scratch.get(schema)!, name },
  ])
  const read = () => sendTypeStates(sql, names)
  const states = await inScratch(sql, scratch, declarations, read)
  return new Map(states.map((state) => [keyOf(state), state]))
}

function keyOf({ schema, name }: { schema: string; name: string }): string {
  return `${schema}\0${name}`
}

/** Sends an ALTER. It is in no file, so errors point to the declaration. */
function sendAlter(sql: Sql, { file, statement }: Step, text: string): Sent {
  return send(sql.unsafe(text)).catch((error: unknown) => {
    if (isPostgresError(error)) error.position = ''
    throw asStatementError(file, statement, error)
  })
}

function cannotChange(database: string, { file, statement }: Step, cause: string): GatewayError {
  return new GatewayError(CODE, `${WHAT} ${file.name} failed`, {
    database,
    cause,
    hint: NEW_TYPE_HINT,
    file: file.path,
    line: lineOf(file, statement),
  })
}
