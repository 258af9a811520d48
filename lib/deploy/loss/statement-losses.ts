import type { SchemaFile } from '../../archive/archive.ts'
import { isPostgresError } from '../../postgres/errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { compareTables, type TableChange } from '../changes/changes.ts'
import { sendTables, type Table } from '../changes/tables.ts'
import { asStatementError, lineOf } from '../failure.ts'
import type { Hidden } from '../parser/hidden.ts'
import type { Statement } from '../parser/statement.ts'
import { mayLoseData, readDirectives } from '../plan/directives.ts'
import { findColumn } from '../run/column-helpers.ts'
import { lookBehind, lossesBehind } from './behind.ts'
import { dataLossError, type Place, type Refusal, untoldError } from './data-loss.ts'
import { Emptied } from './emptied.ts'
import { FilledTables } from './filled-tables.ts'
import { LossAnswers } from './loss-answers.ts'
import { type Behind, readBehind } from './routines.ts'
import { countLosses } from './rows.ts'
import { findTargets, isAboutRows, type Target } from './targets.ts'

/** Checks a statement's effect; called right after the statement has run. */
export type Check = () => Promise<void>

/** Losses that a deploy may cause without being refused. */
export type Losses = 'all' | ReadonlySet<TableChange['change']>

export const NO_LOSSES: ReadonlySet<TableChange['change']> = new Set()

/** State of a guarded deploy: its permissions and the tables as last read. */
export interface GuardedTables {
  readonly sql: Sql
  readonly database: string
  /** Whether every statement of the deploy may lose data. */
  readonly mayLose: boolean
  /** Losses that are permitted even if `mayLose` is false. */
  readonly allowed: ReadonlySet<TableChange['change']>
  readonly isDryRun: boolean
  /** Results of the checks so far: changes that lose nothing, and permitted losses. */
  readonly answers: LossAnswers
  readonly emptied: Emptied
  /** Checks of statements that have run and have not been checked since. */
  readonly unchecked: Set<Check>
  /** Losses collected by a dry run. */
  readonly refusals: Refusal[]
  /** Tables and columns into which other transactions may have written. */
  known: FilledTables
  /** Tables as of the last step that was permitted to lose data. */
  base: Table[]
  /** Tables as last read. */
  last: Table[]
}

/** Returns the state before the tables are first read. */
export function newGuardedTables(
  sql: Sql,
  database: string,
  losses: Losses,
  isDryRun: boolean,
): GuardedTables {
  return {
    sql,
    database,
    mayLose: losses === 'all',
    allowed: losses === 'all' ? NO_LOSSES : losses,
    isDryRun,
    answers: new LossAnswers(),
    emptied: new Emptied(),
    unchecked: new Set(),
    refusals: [],
    known: new FilledTables([]),
    base: [],
    last: [],
  }
}

/**
 * Checks a statement that may lose data, right before it runs and in its transaction. The checked
 * tables stay locked until the transaction ends.
 * @returns a function to call right after the statement, if its effect is not visible in its text
 * @throws {GatewayError} data_loss if rows would be lost and the file may not lose any
 * @throws {StatementError} if a lock is not granted within lock_timeout
 */
export async function askBeforeStatement(
  guarded: GuardedTables,
  file: SchemaFile,
  statement: Statement,
): Promise<Check | undefined> {
  const { risks, hidden } = statement
  const mayLose = guarded.mayLose || mayLoseData(file)
  const isWithin = !readDirectives(file).noTransaction
  try {
    const found = await Promise.all(
      risks.filter(isAboutRows).map((risk) => findTargets(guarded.sql, risk)),
    )
    const targets = found.flat().filter((target) => isAtRisk(guarded, target, file))
    await passColumn(guarded, statement)
    if (guarded.isDryRun && !isWithin) guarded.answers.foresee(targets)
    if (mayLose) guarded.answers.allow(targets, guarded.known)
    else await judge(guarded, file, statement, targets)
    return hidden && !mayLose ? await askBehind(guarded, file, statement, hidden) : undefined
  } catch (error) {
    // The position refers to a query of the gateway, not to the file.
    if (isPostgresError(error)) error.position = ''
    throw asStatementError(file, statement, error)
  }
}

/**
 * Checks, as `askBeforeStatement` does, a statement that calls other code and cannot be rolled
 * back.
 * @throws {GatewayError} data_loss if it may take rows away or runs dynamic SQL
 */
export async function askBeforeEffect(
  guarded: GuardedTables,
  file: SchemaFile,
  statement: Statement,
  behind: Behind,
): Promise<void> {
  const place = placeOf(file, statement)
  const mayBeLost = (one: Target) =>
    !guarded.allowed.has(one.change) && isAtRisk(guarded, one, file)
  const found = await lookBehind(guarded.sql, behind, [], mayBeLost)
  const losses = found?.losses ?? []
  if (losses.length > 0) refuse(guarded, { place, losses, isHidden: false })
  if (behind.runsText) throw untoldError(guarded.database, place)
}

/** Permits the loss of the column that a helper statement names. */
async function passColumn(guarded: GuardedTables, { facts: { helper } }: Statement): Promise<void> {
  const column = helper && (await findColumn(guarded.sql, helper))
  if (column) guarded.answers.passColumn(column.oid, column.number, helper.column, guarded.known)
}

/** A materialized view that a file in views/ drops is not at risk: the file creates it again. */
function isAtRisk(guarded: GuardedTables, target: Target, { path }: SchemaFile): boolean {
  const isMadeAnew = target.change === 'materialized_view_dropped' && path.startsWith('views/')
  if (isMadeAnew) return false
  if (target.kind === 'v') return target.bases.some((oid) => guarded.known.has(oid, null))
  return guarded.known.has(target.oid, target.number)
}

/** Permits the allowed losses. Refuses the others if rows would be lost. */
async function judge(
  guarded: GuardedTables,
  file: SchemaFile,
  statement: Statement,
  targets: Target[],
): Promise<void> {
  const isAllowed = ({ change }: Target) => guarded.allowed.has(change)
  guarded.answers.allow(targets.filter(isAllowed), guarded.known)
  const others = targets.filter((one) => !isAllowed(one))
  await refuseLoss(guarded, file, statement, others)
}

async function refuseLoss(
  guarded: GuardedTables,
  file: SchemaFile,
  statement: Statement,
  targets: Target[],
): Promise<void> {
  const risky = targets.filter(({ isLossless }) => !isLossless)
  const losses = risky.length > 0 ? await countLosses(guarded.sql, risky) : []
  const whole = losses.filter((loss) => !guarded.known.isPartOf(loss.oid, losses))
  if (whole.length > 0) {
    refuse(guarded, { place: placeOf(file, statement), losses: whole, isHidden: false })
    guarded.answers.allow(targets, guarded.known)
  }
  guarded.answers.pass(targets, guarded.known)
}

async function askBehind(
  guarded: GuardedTables,
  file: SchemaFile,
  statement: Statement,
  hidden: Hidden,
): Promise<Check | undefined> {
  const behind = await readBehind(guarded.sql, hidden)
  guarded.emptied.expect(behind.deletes)
  const mayBeLost = (one: Target) =>
    !guarded.allowed.has(one.change) && isAtRisk(guarded, one, file)
  const prepared = await lookBehind(guarded.sql, behind, guarded.known.tables(), mayBeLost)
  if (!prepared) return undefined
  guarded.answers.pass(prepared.empty, guarded.known)
  guarded.answers.passTables(prepared.locked)
  const check = async () => {
    guarded.unchecked.delete(check)
    guarded.last = await sendTables(guarded.sql)
    const losses = await lossesBehind(guarded.sql, prepared, await hiddenLosses(guarded))
    if (losses.length === 0) return
    refuse(guarded, { place: placeOf(file, statement), losses, isHidden: true })
    guarded.base = guarded.last
  }
  guarded.unchecked.add(check)
  return check
}

/** Throws data_loss. A dry run records the refusal instead, so that it reports all of them. */
export function refuse(guarded: GuardedTables, refusal: Refusal): void {
  if (!guarded.isDryRun) throw dataLossError(guarded.database, [refusal])
  guarded.refusals.push(refusal)
  guarded.emptied.tell(refusal.losses)
}

/**
 * Returns the losses between `base` and `last`, without those that were foreseen or are allowed.
 * `base`: the tables as of the last step that was permitted to lose data; `last`: as last read.
 */
export async function hiddenLosses(guarded: GuardedTables): Promise<TableChange[]> {
  const changes = compareTables(guarded.known.only(guarded.base), guarded.last)
  const losses = changes.filter(
    (one) =>
      one.class === 'data_loss' &&
      !guarded.allowed.has(one.change) &&
      !guarded.answers.hasPassed(one),
  )
  const hidden: TableChange[] = []
  for (const loss of losses) {
    const isLost = loss.change !== 'attribute_dropped' || (await isStored(guarded, loss))
    if (isLost) hidden.push(loss)
  }
  return hidden
}

/** Returns whether a table that was not checked stores values of the type. */
async function isStored(guarded: GuardedTables, { table, column }: TableChange): Promise<boolean> {
  const risk = { kind: 'drop attribute', type: table, attribute: column ?? '' } as const
  const targets = await findTargets(guarded.sql, risk)
  return targets.some(({ oid, number }) => {
    return guarded.known.has(oid, number) && !guarded.answers.hasPassedTable(oid)
  })
}

function placeOf(file: SchemaFile, statement: Statement): Place {
  return { file, line: lineOf(file, statement) }
}
