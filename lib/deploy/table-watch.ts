import type { Sql } from '../postgres/connection.ts'
import { compareTables, sendTables, type Table, type TableChange } from './changes.ts'

/** A deploy that was not told that it may would lose data. */
export class LossFound extends Error {
  readonly losses: TableChange[]
  /** The tables before the deploy. */
  readonly before: Table[]

  constructor(losses: TableChange[], before: Table[]) {
    super('The deploy would lose data')
    this.losses = losses
    this.before = before
  }
}

/** Sees what becomes of the tables while a deploy runs. */
export class TableWatch {
  /** False for a database that is new: it has nothing to lose. */
  readonly isOn: boolean
  readonly before: Table[]
  readonly #sql: Sql
  readonly #mayLose: boolean
  readonly #losses: TableChange[] = []
  #last: Table[]

  /** Takes a first look. `mayLose`: losses are found and allowed. */
  static async start(sql: Sql, isNew: boolean, mayLose: boolean): Promise<TableWatch> {
    return new TableWatch(sql, isNew ? undefined : await sendTables(sql), mayLose)
  }

  private constructor(sql: Sql, before: Table[] | undefined, mayLose: boolean) {
    this.isOn = before !== undefined
    this.before = before ?? []
    this.#sql = sql
    this.#mayLose = mayLose
    this.#last = this.before
  }

  /** Takes note of the tables as they are after a step, which may lose data or not. */
  see(tables: Table[], isAllowed: boolean): void {
    const changes = compareTables(this.#last, tables)
    if (!isAllowed) this.#losses.push(...changes.filter((change) => change.class === 'data_loss'))
    this.#last = tables
  }

  /** Looks, after a step that may lose data or not. */
  async look(isAllowed: boolean): Promise<void> {
    if (this.isOn) this.see(await sendTables(this.#sql), isAllowed)
  }

  /**
   * The tables as they are now, whichever database it is: equal texts mean equal tables.
   */
  async fingerprint(): Promise<string> {
    const tables = this.isOn ? this.#last : await sendTables(this.#sql)
    const columns = (table: Table) => table.columns.map(({ number: _, ...column }) => column)
    return JSON.stringify(tables.map((table) => [table.schema, table.name, columns(table)]))
  }

  /** @throws {LossFound} where a step that may not has lost something */
  assertNothingLost(): void {
    if (this.#mayLose || this.#losses.length === 0) return
    throw new LossFound(this.#losses, this.before)
  }

  /**
   * Takes a last look.
   * @returns all changes since the start
   * @throws {LossFound}
   */
  async finish(): Promise<TableChange[]> {
    if (!this.isOn) return compareTables([], await sendTables(this.#sql))
    await this.look(false)
    this.assertNothingLost()
    return compareTables(this.before, this.#last)
  }
}
