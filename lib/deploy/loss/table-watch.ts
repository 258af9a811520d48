import type { SchemaFile } from '../../archive/archive.ts'
import { isPostgresError } from '../../postgres/errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { compareTables, type TableChange } from '../changes/changes.ts'
import { sendTables, type Table } from '../changes/tables.ts'
import { asStatementError, lineOf } from '../failure.ts'
import type { Job } from '../job.ts'
import type { Hidden } from '../parser/hidden.ts'
import { isAskedAbout, type Statement } from '../parser/statement.ts'
import { mayLoseData, readDirectives } from '../plan/directives.ts'
import { withoutOid } from '../result.ts'
import { findColumn } from '../run/column-helpers.ts'
import { Served } from '../sessions/retyped.ts'
import { Asked } from './asked.ts'
import { lookBehind, lossesBehind } from './behind.ts'
import { dataLossError, describe, type Place, type Refusal, untoldError } from './data-loss.ts'
import { Emptied } from './emptied.ts'
import { Known } from './known.ts'
import { type Behind, readBehind } from './routines.ts'
import { countLosses } from './rows.ts'
import { findTargets, isAboutRows, type Target } from './targets.ts'

/** To be called right behind a statement. */
export type Check = () => Promise<void>

/**
 * How a deploy is watched: `closely`; `new`, where the database has nothing to lose; `only code`,
 * where no statement can change a table.
 */
export type Watching = 'closely' | 'new' | 'only code'

/** Losses that a deploy may cause. */
export type Losses = 'all' | ReadonlySet<TableChange['change']>

export const NO_LOSSES: ReadonlySet<TableChange['change']> = new Set()

/**
 * Sees to it that a deploy loses no data. A statement whose text tells that it may is asked about
 * before it runs; what else is lost is found by looking at the catalogs, and rolled back.
 */
export class TableWatch {
  /** The first look, which is sent at once and waited for where it is needed. */
  readonly #looking: Promise<void>
  /** Tables that were read once all had run. */
  #ahead: Promise<Table[]> | undefined
  /** Tables that were read once the migrations had run, where no table has been made since. */
  #behindMigrations: Promise<Table[]> | undefined
  readonly #watching: Watching
  readonly #sql: Sql
  readonly #database: string
  readonly #mayLose: boolean
  /** What may be lost all the same. */
  readonly #allowed: ReadonlySet<TableChange['change']>
  readonly #isDryRun: boolean
  readonly #asked = new Asked()
  readonly #emptied = new Emptied()
  /** Behind statements that have not been looked at since. */
  readonly #unchecked = new Set<Check>()
  /** Of a dry run. */
  readonly #refusals: Refusal[] = []
  /** What others may have put rows into. */
  #known = new Known([])
  #before: Table[] = []
  /** As of the last step that was allowed to lose data. */
  #base: Table[] = []
  #last: Table[] = []
  #served = new Served([])
  /** Called right before a commit that gives a column or an attribute another type, or takes one away. */
  onRetype: Job['retire'] | undefined

  /** Takes a first look. `losses`: what is allowed; `isDryRun`: losses are told at the end, together. */
  constructor(sql: Sql, database: string, watching: Watching, losses: Losses, isDryRun: boolean) {
    this.#sql = sql
    this.#database = database
    this.#watching = watching
    this.#mayLose = losses === 'all'
    this.#allowed = losses === 'all' ? NO_LOSSES : losses
    this.#isDryRun = isDryRun
    this.#looking = watching === 'closely' ? this.#look() : Promise.resolve()
    // Whoever waits for it is told.
    this.#looking.catch(() => {})
  }

  async #look(): Promise<void> {
    const reading = sendTables(this.#sql)
    this.#emptied.begin(this.#sql)
    const before = await reading
    this.#before = before
    this.#known = new Known(before)
    this.#base = before
    this.#last = before
    this.#served = new Served(before)
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
    const { risks, hidden } = statement
    if (this.#watching !== 'closely') return undefined
    this.#asked.note(file, statement)
    this.#emptied.expect(statement.facts.deletes)
    if (mayLoseData(file)) this.#emptied.allow()
    if (!isAskedAbout(statement)) return undefined
    await this.#looking
    const mayLose = this.#mayLose || mayLoseData(file)
    const isWithin = !readDirectives(file).noTransaction
    try {
      const found = await Promise.all(
        risks.filter(isAboutRows).map((risk) => findTargets(this.#sql, risk)),
      )
      const targets = found.flat().filter((target) => this.#isAtRisk(target, file))
      await this.#passColumn(statement)
      if (this.#isDryRun && !isWithin) this.#asked.foresee(targets)
      if (mayLose) this.#asked.allow(targets, this.#known)
      else await this.#judge(file, statement, targets)
      return hidden && !mayLose ? await this.#askBehind(file, statement, hidden) : undefined
    } catch (error) {
      // It points into a query of the gateway.
      if (isPostgresError(error)) error.position = ''
      throw asStatementError(file, statement, error)
    }
  }

  /** The column that a helper is called for is meant to go. */
  async #passColumn({ facts: { helper } }: Statement): Promise<void> {
    const column = helper && (await findColumn(this.#sql, helper))
    if (column) this.#asked.passColumn(column.oid, column.number, helper.column, this.#known)
  }

  /** Whether all that the file does may lose data. */
  mayLose(file: SchemaFile): boolean {
    return this.#watching !== 'closely' || this.#mayLose || mayLoseData(file)
  }

  /**
   * As `ask`, of a statement whose effect stands elsewhere and cannot be rolled back.
   * @throws {GatewayError} data_loss where it may take away rows, or may do anything
   */
  async askBefore(file: SchemaFile, statement: Statement, behind: Behind): Promise<void> {
    const place = placeOf(file, statement)
    const isAtRisk = (one: Target) => !this.#allowed.has(one.change) && this.#isAtRisk(one, file)
    const found = await lookBehind(this.#sql, behind, [], isAtRisk)
    const losses = found?.losses ?? []
    if (losses.length > 0) this.#refuse({ place, losses, isHidden: false })
    if (behind.runsText) throw untoldError(this.#database, place)
  }

  /** A view's file makes its materialized views anew: nothing is lost. */
  #isAtRisk(target: Target, { path }: SchemaFile): boolean {
    const isMadeAnew = target.change === 'materialized_view_dropped' && path.startsWith('views/')
    if (isMadeAnew) return false
    if (target.kind === 'v') return target.bases.some((oid) => this.#known.has(oid, null))
    return this.#known.has(target.oid, target.number)
  }

  /** Allows what is allowed, and refuses the rest where it has rows. */
  async #judge(file: SchemaFile, statement: Statement, targets: Target[]): Promise<void> {
    const isAllowed = ({ change }: Target) => this.#allowed.has(change)
    this.#asked.allow(targets.filter(isAllowed), this.#known)
    const others = targets.filter((one) => !isAllowed(one))
    await this.#refuseLoss(file, statement, others)
  }

  async #refuseLoss(file: SchemaFile, statement: Statement, targets: Target[]): Promise<void> {
    const risky = targets.filter(({ isLossless }) => !isLossless)
    const losses = risky.length > 0 ? await countLosses(this.#sql, risky) : []
    const whole = losses.filter((loss) => !this.#known.isPartOf(loss.oid, losses))
    if (whole.length > 0) {
      this.#refuse({ place: placeOf(file, statement), losses: whole, isHidden: false })
      this.#asked.allow(targets, this.#known)
    }
    this.#asked.pass(targets, this.#known)
  }

  async #askBehind(
    file: SchemaFile,
    statement: Statement,
    hidden: Hidden,
  ): Promise<Check | undefined> {
    const behind = await readBehind(this.#sql, hidden)
    this.#emptied.expect(behind.deletes)
    const isAtRisk = (one: Target) => !this.#allowed.has(one.change) && this.#isAtRisk(one, file)
    const prepared = await lookBehind(this.#sql, behind, this.#known.tables(), isAtRisk)
    if (!prepared) return undefined
    this.#asked.pass(prepared.empty, this.#known)
    this.#asked.passTables(prepared.locked)
    const check = async () => {
      this.#unchecked.delete(check)
      this.#last = await sendTables(this.#sql)
      const losses = await lossesBehind(this.#sql, prepared, await this.#hiddenLosses())
      if (losses.length === 0) return
      this.#refuse({ place: placeOf(file, statement), losses, isHidden: true })
      this.#base = this.#last
    }
    this.#unchecked.add(check)
    return check
  }

  /** A dry run goes on, so that it can tell of everything. */
  #refuse(refusal: Refusal): void {
    if (!this.#isDryRun) throw dataLossError(this.#database, [refusal])
    this.#refusals.push(refusal)
    this.#emptied.tell(refusal.losses)
  }

  /**
   * Looks at the catalogs for what is lost; to be called before each commit, and before a step that may
   * lose data.
   * @throws {GatewayError} data_loss where something is gone that `ask` did not know of
   */
  async settle(): Promise<void> {
    if (this.#watching !== 'closely') return
    await this.#looking
    const ahead = this.#unchecked.size === 0 ? this.#ahead : undefined
    this.#ahead = undefined
    for (const check of this.#unchecked) await check()
    const [last, emptied] = await Promise.all([
      ahead ?? sendTables(this.#sql),
      this.#mayLose ? [] : this.#emptied.find(this.#sql, this.#known),
    ])
    this.#last = last
    const gone = this.#mayLose ? [] : await this.#hiddenLosses()
    const losses = [
      ...gone.map((change) => ({ ...change, rows: null, hasMore: false })),
      ...emptied.filter(({ oid }) => !this.#asked.hasPassedTable(oid)),
    ]
    if (losses.length > 0) {
      this.#refuse({ place: null, losses, isHidden: true })
      this.#base = this.#last
    }
  }

  /**
   * Sends what `finish` reads, behind the last statement, without waiting for its answer.
   * @param isCodeAlone since the migrations nothing but functions and views was made
   * @returns what is to be called where all before that went well, and nothing more runs
   */
  readonly sendLast = (isCodeAlone = false): (() => void) => {
    if (this.#watching === 'only code') return () => {}
    const ahead = (isCodeAlone && this.#behindMigrations) || sendTables(this.#sql)
    ahead.catch(() => {})
    const use = this.#watching === 'closely' ? this.#emptied.sendLast(this.#sql) : () => {}
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
    return this.onRetype !== undefined && this.#watching === 'closely'
  }

  /**
   * To be called right before each commit, and at no other time: calls wait from then on. The last look
   * has to be of now, as that of `settle` and `forgive`.
   * @throws {GatewayError} as `retireSessions`
   */
  async retire(): Promise<void> {
    await this.#served.retire(this.#last, this.onRetype)
  }

  /** `retire` of what runs outside of the transactions of the deploy. */
  async lookAndRetire(): Promise<void> {
    if (!this.retires) return
    await this.#looking
    this.#last = await sendTables(this.#sql)
    await this.retire()
  }

  /** To be called after each commit of such. */
  served(): void {
    this.#served.move(this.#last)
  }

  /** To be called after a step that may lose data: what is gone by now is not looked for again. */
  async forgive(): Promise<void> {
    if (this.#watching !== 'closely') return
    await this.#looking
    this.#last = await sendTables(this.#sql)
    this.#base = this.#last
    this.#emptied.begin(this.#sql)
  }

  /** To be called after a commit, when the next transaction has begun: from now on others may write into what the deploy has made or asked about. */
  committed(): void {
    this.served()
    this.#unchecked.clear()
    this.#known = new Known(this.#last)
    this.#asked.clearPassed()
    this.#base = this.#last
    if (this.#watching === 'closely') this.#emptied.begin(this.#sql)
  }

  /**
   * To be called after a file that ran outside of transactions.
   * @returns what it lost without having been asked; it cannot be undone
   */
  async afterCommitted(file: SchemaFile): Promise<string[]> {
    if (this.#watching !== 'closely') return []
    await this.#looking
    this.#last = await sendTables(this.#sql)
    const isAllowed = this.#mayLose || mayLoseData(file)
    const losses = isAllowed ? [] : await this.#hiddenLosses()
    this.committed()
    return losses.map(
      (loss) =>
        `${file.path}: dynamic SQL took away ${describe(loss)}; it was not asked about, and cannot be undone outside of a transaction`,
    )
  }

  async #hiddenLosses(): Promise<TableChange[]> {
    const changes = compareTables(this.#known.only(this.#base), this.#last)
    const losses = changes.filter(
      (one) =>
        one.class === 'data_loss' && !this.#allowed.has(one.change) && !this.#asked.hasPassed(one),
    )
    const hidden: TableChange[] = []
    for (const loss of losses) {
      const isLost = loss.change !== 'attribute_dropped' || (await this.#isStored(loss))
      if (isLost) hidden.push(loss)
    }
    return hidden
  }

  /** Whether a table that was not asked about has values of the type. */
  async #isStored({ table, column }: TableChange): Promise<boolean> {
    const risk = { kind: 'drop attribute', type: table, attribute: column ?? '' } as const
    const targets = await findTargets(this.#sql, risk)
    return targets.some(({ oid, number }) => {
      return this.#known.has(oid, number) && !this.#asked.hasPassedTable(oid)
    })
  }

  /**
   * Takes a last look, right before the last commit.
   * @returns all changes since the start, and warnings of those that weaken the rules for the data
   * @throws {GatewayError} data_loss as `settle`; as `retire`
   */
  async finish(): Promise<{ changes: TableChange[]; warnings: string[] }> {
    if (this.#watching === 'only code') return { changes: [], warnings: [] }
    if (this.#watching === 'new') {
      const tables = await (this.#ahead ?? sendTables(this.#sql))
      return { changes: compareTables([], tables), warnings: [] }
    }
    await this.settle()
    const changes = this.#asked.judge(compareTables(this.#before, this.#last))
    const [first, ...others] = this.#refusals
    if (first) {
      const more = { table_changes: changes.map(withoutOid) }
      throw dataLossError(this.#database, [first, ...others], more)
    }
    await this.retire()
    return { changes, warnings: this.#asked.warningsOf(changes) }
  }
}

function placeOf(file: SchemaFile, statement: Statement): Place {
  return { file, line: lineOf(file, statement) }
}
