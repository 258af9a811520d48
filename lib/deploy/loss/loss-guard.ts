import type { SchemaFile } from '../../archive/archive.ts'
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
 * How a deploy is guarded: `closely`; `new`, where the database has nothing to lose; `only code`,
 * where no statement can change a table.
 */
export type GuardMode = 'closely' | 'new' | 'only code'

/**
 * Sees to it that a deploy loses no data. A statement whose text tells that it may is asked about
 * before it runs; what else is lost is found by looking at the catalogs, and rolled back.
 */
export class LossGuard {
  /** The first look, which is sent at once and waited for where it is needed. */
  readonly #looking: Promise<void>
  /** Tables that were read once all had run. */
  #ahead: Promise<Table[]> | undefined
  /** Tables that were read once the migrations had run, where no table has been made since. */
  #behindMigrations: Promise<Table[]> | undefined
  readonly #mode: GuardMode
  readonly #sql: Sql
  readonly #guarded: GuardedTables
  #before: Table[] = []
  #served = new ServedTables([])
  /** Called right before a commit that gives a column or an attribute another type, or takes one away. */
  onRetype: Job['retire'] | undefined

  /** Takes a first look. `losses`: what is allowed; `isDryRun`: losses are told at the end, together. */
  constructor(sql: Sql, database: string, mode: GuardMode, losses: Losses, isDryRun: boolean) {
    this.#sql = sql
    this.#mode = mode
    this.#guarded = newGuardedTables(sql, database, losses, isDryRun)
    this.#looking = mode === 'closely' ? this.#look() : Promise.resolve()
    // Whoever waits for it is told.
    this.#looking.catch(() => {})
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

  /** The tables before the deploy, once that is known; empty where it is not watched closely. */
  get before(): Table[] {
    return this.#before
  }

  /**
   * To be called right before a statement runs, in its transaction. Locks what it would take away,
   * until that transaction ends.
   * @returns what is to be called right behind it, where what it does stands in other texts than
   *   its own; `settle` does so otherwise
   * @throws {GatewayError} data_loss where that has rows, and the file may not lose any
   * @throws {StatementError} where a lock does not come within lock_timeout
   */
  readonly ask = async (file: SchemaFile, statement: Statement): Promise<Check | undefined> => {
    const { facts } = statement
    if (this.#mode !== 'closely') return undefined
    this.#guarded.answers.note(file, statement)
    this.#guarded.emptied.expect(facts.deletes)
    if (mayLoseData(file)) this.#guarded.emptied.allow()
    if (!isAskedAbout(statement)) return undefined
    await this.#looking
    return askBeforeStatement(this.#guarded, file, statement)
  }

  /** Whether all that the file does may lose data. */
  mayLose(file: SchemaFile): boolean {
    return this.#mode !== 'closely' || this.#guarded.mayLose || mayLoseData(file)
  }

  /**
   * As `ask`, of a statement whose effect stands elsewhere and cannot be rolled back.
   * @throws {GatewayError} data_loss where it may take away rows, or may do anything
   */
  async askBefore(file: SchemaFile, statement: Statement, behind: Behind): Promise<void> {
    await askBeforeEffect(this.#guarded, file, statement, behind)
  }

  /**
   * Looks at the catalogs for what is lost; to be called before each commit, and before a step that may
   * lose data.
   * @throws {GatewayError} data_loss where something is gone that `ask` did not know of
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
   * Sends what `finish` reads, behind the last statement, without waiting for its answer.
   * @param isCodeAlone since the migrations nothing but functions and views was made
   * @returns what is to be called where all before that went well, and nothing more runs
   */
  readonly sendLast = (isCodeAlone = false): (() => void) => {
    if (this.#mode === 'only code') return () => {}
    const ahead = (isCodeAlone && this.#behindMigrations) || sendTables(this.#sql)
    ahead.catch(() => {})
    const use = this.#mode === 'closely' ? this.#guarded.emptied.sendLast(this.#sql) : () => {}
    return () => {
      this.#ahead = ahead
      use()
    }
  }

  /** Sends the question for the tables, behind the last migration. */
  sendTables(): Promise<Table[]> {
    this.#behindMigrations = sendTables(this.#sql)
    return this.#behindMigrations
  }

  /** A table has been made since. */
  forgetTables(): void {
    this.#behindMigrations = undefined
  }

  /** Whether `retire` may have to do something. */
  get retires(): boolean {
    return this.onRetype !== undefined && this.#mode === 'closely'
  }

  /**
   * To be called right before each commit, and at no other time: calls wait from then on. The last look
   * has to be of now, as that of `settle` and `forgive`.
   * @throws {GatewayError} as `retireSessions`
   */
  async retire(): Promise<void> {
    await this.#served.retire(this.#guarded.last, this.onRetype)
  }

  /** `retire` of what runs outside of the transactions of the deploy. */
  async lookAndRetire(): Promise<void> {
    if (!this.retires) return
    await this.#looking
    this.#guarded.last = await sendTables(this.#sql)
    await this.retire()
  }

  /** To be called after each commit of such. */
  served(): void {
    this.#served.move(this.#guarded.last)
  }

  /** To be called after a step that may lose data: what is gone by now is not looked for again. */
  async forgive(): Promise<void> {
    if (this.#mode !== 'closely') return
    await this.#looking
    this.#guarded.last = await sendTables(this.#sql)
    this.#guarded.base = this.#guarded.last
    this.#guarded.emptied.begin(this.#sql)
  }

  /** To be called after a commit, when the next transaction has begun: from now on others may write into what the deploy has made or asked about. */
  committed(): void {
    this.served()
    this.#guarded.unchecked.clear()
    this.#guarded.known = new FilledTables(this.#guarded.last)
    this.#guarded.answers.clearPassed()
    this.#guarded.base = this.#guarded.last
    if (this.#mode === 'closely') this.#guarded.emptied.begin(this.#sql)
  }

  /**
   * To be called after a file that ran outside of transactions.
   * @returns what it lost without having been asked; it cannot be undone
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
        `${file.path}: dynamic SQL took away ${describe(loss)}; it was not asked about, and cannot be undone outside of a transaction`,
    )
  }

  /**
   * Takes a last look, right before the last commit.
   * @returns all changes since the start, and warnings of those that weaken the rules for the data
   * @throws {GatewayError} data_loss as `settle`; as `retire`
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
