import type { SchemaFile } from '../../archive/archive.ts'
import { sentAhead } from '../../postgres/ahead.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { compareTables, type TableChange } from '../changes/changes.ts'
import { sendTables, type Table } from '../changes/tables.ts'
import type { Job } from '../job.ts'
import { isAskedAbout, type Statement } from '../parser/statement.ts'
import { mayLoseData } from '../plan/directives.ts'
import { withoutOid } from '../result.ts'
import { ServedTables } from '../sessions/retyped.ts'
import { dataLossError, describe } from './data-loss.ts'
import { FilledTables } from './filled-tables.ts'
import type { Behind } from './routines.ts'
import {
  askBeforeEffect,
  askBeforeStatement,
  type Check,
  type GuardedTables,
  hiddenLosses,
  type Losses,
  newGuardedTables,
  refuse,
} from './statement-losses.ts'

/**
 * How a deploy is guarded. `closely`: every statement and the catalogs are checked; `new`: the
 * database has no data yet; `only code`: no statement can change a table.
 */
export type GuardMode = 'closely' | 'new' | 'only code'

/** Statements that may write rows, so that triggers and rules run; '' is one that could not be parsed. */
const WRITES = new Set([
  ...['', 'InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt', 'CopyStmt'],
  ...['SelectStmt', 'ExecuteStmt', 'CreateTableAsStmt', 'ExplainStmt'],
])

/**
 * Keeps a deploy from losing data. A statement whose text shows that it may lose data is checked
 * before it runs. Other losses are found by comparing the catalogs, and rolled back.
 */
export class LossGuard {
  /** The first read of the tables: sent by the constructor, awaited where its result is needed. */
  readonly #looking: Promise<void>
  /** Tables read after the last statement. */
  #ahead: Promise<Table[]> | undefined
  /** Tables read after the last migration; undefined once another table has been created. */
  #behindMigrations: Promise<Table[]> | undefined
  readonly #mode: GuardMode
  readonly #sql: Sql
  readonly #guarded: GuardedTables
  #before: Table[] = []
  #served = new ServedTables([])
  /** Called right before a commit that drops a column or attribute or changes its type. */
  onRetype: Job['retire'] | undefined
  /** Called for each statement. */
  onAsk: ((file: SchemaFile, statement: Statement) => void) | undefined

  /**
   * Sends the first read of the tables.
   * @param losses the losses that are permitted
   * @param isDryRun collects losses and reports them together at the end
   */
  constructor(sql: Sql, database: string, mode: GuardMode, losses: Losses, isDryRun: boolean) {
    this.#sql = sql
    this.#mode = mode
    this.#guarded = newGuardedTables(sql, database, losses, isDryRun)
    this.#looking = mode === 'closely' ? sentAhead(sql, this.#look()) : Promise.resolve()
  }

  async #look(): Promise<void> {
    const reading = sendTables(this.#sql)
    this.#guarded.emptied.begin(this.#sql)
    const before = await reading
    this.#before = before
    this.#guarded.known = new FilledTables(before)
    this.#guarded.base = before
    this.#guarded.last = before
    this.#served = new ServedTables(before)
  }

  /** Tables before the deploy, once they have been read; always empty unless watched `closely`. */
  get before(): Table[] {
    return this.#before
  }

  /**
   * Checks a statement right before it runs, in its transaction. Locks the tables that it would
   * take rows from until that transaction ends.
   * @returns a function to call right after the statement, if its effect is not visible in its
   *   text; otherwise `settle` does the check
   * @throws {GatewayError} data_loss if rows would be lost and the file may not lose any
   * @throws {StatementError} if a lock is not granted within lock_timeout
   */
  readonly ask = async (file: SchemaFile, statement: Statement): Promise<Check | undefined> => {
    const { facts } = statement
    this.onAsk?.(file, statement)
    if (this.#mode !== 'closely') return undefined
    this.#guarded.answers.note(file, statement)
    this.#guarded.emptied.expect(facts.deletes)
    if (mayLoseData(file)) this.#guarded.emptied.allow()
    if (WRITES.has(facts.kind)) await this.#guarded.emptied.makeSure(this.#sql)
    if (!isAskedAbout(statement)) return undefined
    await this.#looking
    return askBeforeStatement(this.#guarded, file, statement)
  }

  /** Returns whether all statements of the file may lose data. */
  mayLose(file: SchemaFile): boolean {
    return this.#mode !== 'closely' || this.#guarded.mayLose || mayLoseData(file)
  }

  /**
   * Checks, as `ask` does, a statement that calls other code and cannot be rolled back.
   * @throws {GatewayError} data_loss if it may take rows away or runs dynamic SQL
   */
  async askBefore(file: SchemaFile, statement: Statement, behind: Behind): Promise<void> {
    await askBeforeEffect(this.#guarded, file, statement, behind)
  }

  /**
   * Reads the catalogs and looks for losses. Call it before each commit, and before a step that may
   * lose data.
   * @throws {GatewayError} data_loss if something is gone that `ask` did not foresee
   */
  async settle(): Promise<void> {
    if (this.#mode !== 'closely') return
    await this.#looking
    const ahead = this.#guarded.unchecked.size === 0 ? this.#ahead : undefined
    this.#ahead = undefined
    for (const check of this.#guarded.unchecked) await check()
    const [last, emptied] = await Promise.all([
      ahead ?? sendTables(this.#sql),
      this.#guarded.mayLose ? [] : this.#guarded.emptied.find(this.#sql, this.#guarded.known),
    ])
    this.#guarded.last = last
    const gone = this.#guarded.mayLose ? [] : await hiddenLosses(this.#guarded)
    const losses = [
      ...gone.map((change) => ({ ...change, rows: null, hasMore: false })),
      ...emptied.filter(({ oid }) => !this.#guarded.answers.hasPassedTable(oid)),
    ]
    if (losses.length > 0) {
      refuse(this.#guarded, { place: null, losses, isHidden: true })
      this.#guarded.base = this.#guarded.last
    }
  }

  /**
   * Sends the queries that `finish` needs, after the last statement, without waiting for them.
   * @param isCodeAlone nothing but functions and views was created since the migrations
   * @returns a function to call once all earlier statements have succeeded and none follows
   */
  readonly sendLast = (isCodeAlone = false): (() => void) => {
    if (this.#mode === 'only code') return () => {}
    const ahead =
      (isCodeAlone && this.#behindMigrations) || sentAhead(this.#sql, sendTables(this.#sql))
    const use = this.#mode === 'closely' ? this.#guarded.emptied.sendLast(this.#sql) : () => {}
    return () => {
      this.#ahead = ahead
      use()
    }
  }

  /** Sends the query for the tables after the last migration. */
  sendTables(): Promise<Table[]> {
    this.#behindMigrations = sentAhead(this.#sql, sendTables(this.#sql))
    return this.#behindMigrations
  }

  /** Discards that result: a table has been created since. */
  forgetTables(): void {
    this.#behindMigrations = undefined
  }

  /** Whether `retire` may have to end sessions. */
  get retires(): boolean {
    return this.onRetype !== undefined && this.#mode === 'closely'
  }

  /**
   * Ends the sessions for calls if the commit drops a column or changes its type, because their
   * cached plans would outlive the change. Call it right before each commit and at no other time:
   * calls wait from then on. `settle` or `forgive` must have read the tables just before.
   * @throws {GatewayError} as `retireSessions`
   */
  async retire(): Promise<void> {
    await this.#served.retire(this.#guarded.last, this.onRetype)
  }

  /** Reads the tables and calls `retire`, for statements outside the deploy's transactions. */
  async lookAndRetire(): Promise<void> {
    if (!this.retires) return
    await this.#looking
    this.#guarded.last = await sendTables(this.#sql)
    await this.retire()
  }

  /** Lets calls continue. Call it after each commit after which `committed` is not called. */
  served(): void {
    this.#served.move(this.#guarded.last)
  }

  /** Accepts what is gone by now; call it after a step that may lose data. */
  async forgive(): Promise<void> {
    if (this.#mode !== 'closely') return
    await this.#looking
    this.#guarded.last = await sendTables(this.#sql)
    this.#guarded.base = this.#guarded.last
    this.#guarded.emptied.begin(this.#sql)
  }

  /**
   * Starts over after a commit, once the next transaction has begun: from now on other transactions
   * may write to the tables that the deploy created or found empty.
   */
  committed(): void {
    this.served()
    this.#guarded.unchecked.clear()
    this.#guarded.known = new FilledTables(this.#guarded.last)
    this.#guarded.answers.clearPassed()
    this.#guarded.base = this.#guarded.last
    if (this.#mode === 'closely') this.#guarded.emptied.begin(this.#sql)
  }

  /**
   * Checks a file that ran outside of a transaction.
   * @returns a warning for each loss that was not foreseen; it cannot be undone
   */
  async afterCommitted(file: SchemaFile): Promise<string[]> {
    if (this.#mode !== 'closely') return []
    await this.#looking
    this.#guarded.last = await sendTables(this.#sql)
    const isAllowed = this.#guarded.mayLose || mayLoseData(file)
    const losses = isAllowed ? [] : await hiddenLosses(this.#guarded)
    this.committed()
    return losses.map(
      (loss) =>
        `${file.path}: dynamic SQL took away ${describe(loss)}; the loss was not foreseen, and cannot be undone because the file ran outside of a transaction`,
    )
  }

  /**
   * Does the last check, right before the last commit.
   * @returns all changes since the start, and a warning for each rule for the data that was
   *   weakened
   * @throws {GatewayError} data_loss as `settle`; other codes as `retire`
   */
  async finish(): Promise<{ changes: TableChange[]; warnings: string[] }> {
    if (this.#mode === 'only code') return { changes: [], warnings: [] }
    if (this.#mode === 'new') {
      const tables = await (this.#ahead ?? sendTables(this.#sql))
      return { changes: compareTables([], tables), warnings: [] }
    }
    await this.settle()
    const changes = this.#guarded.answers.judge(compareTables(this.#before, this.#guarded.last))
    const [first, ...others] = this.#guarded.refusals
    if (first) {
      const more = { table_changes: changes.map(withoutOid) }
      throw dataLossError(this.#guarded.database, [first, ...others], more)
    }
    await this.retire()
    return { changes, warnings: this.#guarded.answers.warningsOf(changes) }
  }
}
