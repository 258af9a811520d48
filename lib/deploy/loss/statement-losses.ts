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
import { Asked } from './asked.ts'
import { lookBehind, lossesBehind } from './behind.ts'
import { dataLossError, type Place, type Refusal, untoldError } from './data-loss.ts'
import { Emptied } from './emptied.ts'
import { Known } from './known.ts'
import { type Behind, readBehind } from './routines.ts'
import { countLosses } from './rows.ts'
import { findTargets, isAboutRows, type Target } from './targets.ts'

/** To be called right behind a statement. */
export type Check = () => Promise<void>

/** Losses that a deploy may cause. */
export type Losses = 'all' | ReadonlySet<TableChange['change']>

export const NO_LOSSES: ReadonlySet<TableChange['change']> = new Set()

/** What a deploy that is watched closely knows of the tables. */
export interface Watched {
  readonly sql: Sql
  readonly database: string
  /** All that the deploy does may lose data. */
  readonly mayLose: boolean
  /** What may be lost all the same. */
  readonly allowed: ReadonlySet<TableChange['change']>
  readonly isDryRun: boolean
  readonly asked: Asked
  readonly emptied: Emptied
  /** Behind statements that have not been looked at since. */
  readonly unchecked: Set<Check>
  /** Of a dry run. */
  readonly refusals: Refusal[]
  /** What others may have put rows into. */
  known: Known
  /** As of the last step that was allowed to lose data. */
  base: Table[]
  /** As of the last look. */
  last: Table[]
}

/** Before the first look. */
export function newWatched(sql: Sql, database: string, losses: Losses, isDryRun: boolean): Watched {
  return {
    sql,
    database,
    mayLose: losses === 'all',
    allowed: losses === 'all' ? NO_LOSSES : losses,
    isDryRun,
    asked: new Asked(),
    emptied: new Emptied(),
    unchecked: new Set(),
    refusals: [],
    known: new Known([]),
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
  watched: Watched,
  file: SchemaFile,
  statement: Statement,
): Promise<Check | undefined> {
  const { risks, hidden } = statement
  const mayLose = watched.mayLose || mayLoseData(file)
  const isWithin = !readDirectives(file).noTransaction
  try {
    const found = await Promise.all(
      risks.filter(isAboutRows).map((risk) => findTargets(watched.sql, risk)),
    )
    const targets = found.flat().filter((target) => isAtRisk(watched, target, file))
    await passColumn(watched, statement)
    if (watched.isDryRun && !isWithin) watched.asked.foresee(targets)
    if (mayLose) watched.asked.allow(targets, watched.known)
    else await judge(watched, file, statement, targets)
    return hidden && !mayLose ? await askBehind(watched, file, statement, hidden) : undefined
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
  watched: Watched,
  file: SchemaFile,
  statement: Statement,
  behind: Behind,
): Promise<void> {
  const place = placeOf(file, statement)
  const mayBeLost = (one: Target) =>
    !watched.allowed.has(one.change) && isAtRisk(watched, one, file)
  const found = await lookBehind(watched.sql, behind, [], mayBeLost)
  const losses = found?.losses ?? []
  if (losses.length > 0) refuse(watched, { place, losses, isHidden: false })
  if (behind.runsText) throw untoldError(watched.database, place)
}

/** The column that a helper is called for is meant to go. */
async function passColumn(watched: Watched, { facts: { helper } }: Statement): Promise<void> {
  const column = helper && (await findColumn(watched.sql, helper))
  if (column) watched.asked.passColumn(column.oid, column.number, helper.column, watched.known)
}

/** A view's file makes its materialized views anew: nothing is lost. */
function isAtRisk(watched: Watched, target: Target, { path }: SchemaFile): boolean {
  const isMadeAnew = target.change === 'materialized_view_dropped' && path.startsWith('views/')
  if (isMadeAnew) return false
  if (target.kind === 'v') return target.bases.some((oid) => watched.known.has(oid, null))
  return watched.known.has(target.oid, target.number)
}

/** Allows what is allowed, and refuses the rest where it has rows. */
async function judge(
  watched: Watched,
  file: SchemaFile,
  statement: Statement,
  targets: Target[],
): Promise<void> {
  const isAllowed = ({ change }: Target) => watched.allowed.has(change)
  watched.asked.allow(targets.filter(isAllowed), watched.known)
  const others = targets.filter((one) => !isAllowed(one))
  await refuseLoss(watched, file, statement, others)
}

async function refuseLoss(
  watched: Watched,
  file: SchemaFile,
  statement: Statement,
  targets: Target[],
): Promise<void> {
  const risky = targets.filter(({ isLossless }) => !isLossless)
  const losses = risky.length > 0 ? await countLosses(watched.sql, risky) : []
  const whole = losses.filter((loss) => !watched.known.isPartOf(loss.oid, losses))
  if (whole.length > 0) {
    refuse(watched, { place: placeOf(file, statement), losses: whole, isHidden: false })
    watched.asked.allow(targets, watched.known)
  }
  watched.asked.pass(targets, watched.known)
}

async function askBehind(
  watched: Watched,
  file: SchemaFile,
  statement: Statement,
  hidden: Hidden,
): Promise<Check | undefined> {
  const behind = await readBehind(watched.sql, hidden)
  watched.emptied.expect(behind.deletes)
  const mayBeLost = (one: Target) =>
    !watched.allowed.has(one.change) && isAtRisk(watched, one, file)
  const prepared = await lookBehind(watched.sql, behind, watched.known.tables(), mayBeLost)
  if (!prepared) return undefined
  watched.asked.pass(prepared.empty, watched.known)
  watched.asked.passTables(prepared.locked)
  const check = async () => {
    watched.unchecked.delete(check)
    watched.last = await sendTables(watched.sql)
    const losses = await lossesBehind(watched.sql, prepared, await hiddenLosses(watched))
    if (losses.length === 0) return
    refuse(watched, { place: placeOf(file, statement), losses, isHidden: true })
    watched.base = watched.last
  }
  watched.unchecked.add(check)
  return check
}

/** A dry run goes on, so that it can tell of everything. */
export function refuse(watched: Watched, refusal: Refusal): void {
  if (!watched.isDryRun) throw dataLossError(watched.database, [refusal])
  watched.refusals.push(refusal)
  watched.emptied.tell(refusal.losses)
}

/**
 * What is gone since the last step that was allowed to lose data, by the last look, and was not asked
 * about.
 */
export async function hiddenLosses(watched: Watched): Promise<TableChange[]> {
  const changes = compareTables(watched.known.only(watched.base), watched.last)
  const losses = changes.filter(
    (one) =>
      one.class === 'data_loss' &&
      !watched.allowed.has(one.change) &&
      !watched.asked.hasPassed(one),
  )
  const hidden: TableChange[] = []
  for (const loss of losses) {
    const isLost = loss.change !== 'attribute_dropped' || (await isStored(watched, loss))
    if (isLost) hidden.push(loss)
  }
  return hidden
}

/** Whether a table that was not asked about has values of the type. */
async function isStored(watched: Watched, { table, column }: TableChange): Promise<boolean> {
  const risk = { kind: 'drop attribute', type: table, attribute: column ?? '' } as const
  const targets = await findTargets(watched.sql, risk)
  return targets.some(({ oid, number }) => {
    return watched.known.has(oid, number) && !watched.asked.hasPassedTable(oid)
  })
}

function placeOf(file: SchemaFile, statement: Statement): Place {
  return { file, line: lineOf(file, statement) }
}
