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

/** To be called right behind a statement. */
export type Check = () => Promise<void>

/** Losses that a deploy may cause. */
export type Losses = 'all' | ReadonlySet<TableChange['change']>

export const NO_LOSSES: ReadonlySet<TableChange['change']> = new Set()

/** What a deploy that is watched closely knows of the tables. */
export interface GuardedTables {
  readonly sql: Sql
  readonly database: string
  /** All that the deploy does may lose data. */
  readonly mayLose: boolean
  /** What may be lost all the same. */
  readonly allowed: ReadonlySet<TableChange['change']>
  readonly isDryRun: boolean
  readonly answers: LossAnswers
  readonly emptied: Emptied
  /** Behind statements that have not been looked at since. */
  readonly unchecked: Set<Check>
  /** Of a dry run. */
  readonly refusals: Refusal[]
  /** What others may have put rows into. */
  known: FilledTables
  /** As of the last step that was allowed to lose data. */
  base: Table[]
  /** As of the last look. */
  last: Table[]
}

/** Before the first look. */
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
 * Asks what a statement that may lose data would take away, right before it runs, in its transaction.
 * Locks that until the transaction ends.
 * @returns what is to be called right behind it, where what it does stands in other texts than its own
 * @throws {GatewayError} data_loss where that has rows, and the file may not lose any
 * @throws {StatementError} where a lock does not come within lock_timeout
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
    // It points into a query of the gateway.
    if (isPostgresError(error)) error.position = ''
    throw asStatementError(file, statement, error)
  }
}

/**
 * As `askBeforeStatement`, of a statement whose effect stands elsewhere and cannot be rolled back.
 * @throws {GatewayError} data_loss where it may take away rows, or may do anything
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

/** The column that a helper is called for is meant to go. */
async function passColumn(guarded: GuardedTables, { facts: { helper } }: Statement): Promise<void> {
  const column = helper && (await findColumn(guarded.sql, helper))
  if (column) guarded.answers.passColumn(column.oid, column.number, helper.column, guarded.known)
}

/** A view's file makes its materialized views anew: nothing is lost. */
function isAtRisk(guarded: GuardedTables, target: Target, { path }: SchemaFile): boolean {
  const isMadeAnew = target.change === 'materialized_view_dropped' && path.startsWith('views/')
  if (isMadeAnew) return false
  if (target.kind === 'v') return target.bases.some((oid) => guarded.known.has(oid, null))
  return guarded.known.has(target.oid, target.number)
}

/** Allows what is allowed, and refuses the rest where it has rows. */
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

/** A dry run goes on, so that it can tell of everything. */
export function refuse(guarded: GuardedTables, refusal: Refusal): void {
  if (!guarded.isDryRun) throw dataLossError(guarded.database, [refusal])
  guarded.refusals.push(refusal)
  guarded.emptied.tell(refusal.losses)
}

/**
 * What is gone since the last step that was allowed to lose data, by the last look, and was not asked
 * about.
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

/** Whether a table that was not asked about has values of the type. */
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
