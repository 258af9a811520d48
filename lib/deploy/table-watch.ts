import type { Sql } from '../postgres/connection.ts'
import { compareTables, readDigest, sendTables, type Table, type TableChange } from './changes.ts'

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

/** Tables changed in a deploy that was not expected to change any: it has to be watched closely. */
export class ChangeFound extends Error {}

/**
 * How closely a deploy is watched: `closely`, table by table; `from afar`, by a digest that tells
 * whether there was any change; `not at all` where the database is new and has nothing to lose.
 */
export type Watching = 'closely' | 'from afar' | 'not at all'

/** Sees what becomes of the tables while a deploy runs. */
export class TableWatch {
  readonly watching: Watching
  /** The tables before the deploy; empty where it is not watched closely. */
  readonly before: Table[]
  readonly #sql: Sql
  readonly #digest: string | undefined
  readonly #mayLose: boolean
  readonly #losses: TableChange[] = []
  #last: Table[]

  /** Takes a first look. `mayLose`: losses are found and allowed. */
  static async start(sql: Sql, watching: Watching, mayLose: boolean): Promise<TableWatch> {
    const before = watching === 'closely' ? await sendTables(sql) : []
    const digest = watching === 'from afar' ? await readDigest(sql) : undefined
    return new TableWatch(sql, watching, before, digest, mayLose)
  }

  private constructor(
    sql: Sql,
    watching: Watching,
    before: Table[],
    digest: string | undefined,
    mayLose: boolean,
  ) {
    this.#sql = sql
    this.watching = watching
    this.before = before
    this.#last = before
    this.#digest = digest
    this.#mayLose = mayLose
  }

  /** Takes note of the tables as they are after a step, which may lose data or not. */
  see(tables: Table[], isAllowed: boolean): void {
    const changes = compareTables(this.#last, tables)
    if (!isAllowed) this.#losses.push(...changes.filter((change) => change.class === 'data_loss'))
    this.#last = tables
  }

  /** Looks, after a step that may lose data or not. */
  async look(isAllowed: boolean): Promise<void> {
    if (this.watching === 'closely') this.see(await sendTables(this.#sql), isAllowed)
  }

  /** The tables as they are now, whichever database it is: equal texts mean equal tables. */
  async fingerprint(): Promise<string> {
    const tables = this.watching === 'closely' ? this.#last : await sendTables(this.#sql)
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
   * @throws {ChangeFound} where tables changed that were watched from afar
   */
  async finish(): Promise<TableChange[]> {
    if (this.watching === 'not at all') return compareTables([], await sendTables(this.#sql))
    if (this.watching === 'from afar') {
      if ((await readDigest(this.#sql)) !== this.#digest) throw new ChangeFound()
      return []
    }
    await this.look(false)
    this.assertNothingLost()
    return compareTables(this.before, this.#last)
  }
}
