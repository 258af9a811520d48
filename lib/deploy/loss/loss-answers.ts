import type { SchemaFile } from '../../archive/archive.ts'
import { type TableChange, tableName } from '../changes/changes.ts'
import { lineOf } from '../failure.ts'
import type { ListedChange } from '../parser/risks.ts'
import type { Statement } from '../parser/statement.ts'
import type { FilledTables } from './filled-tables.ts'
import type { Target } from './targets.ts'

/** A statement that weakens a rule for the data, and where it stands. */
interface Note {
  change: ListedChange
  table: string
  name: string | null
  place: string
}

/** What is known of the statements that a deploy was asked about. */
export class LossAnswers {
  /** Tables without rows, by oid, and columns whose type changes without loss, as `oid/number`. */
  readonly #passed = new Set<string>()
  readonly #notes: Note[] = []
  /** Losses that were allowed, and that the catalogs do not show. */
  readonly #allowed: TableChange[] = []
  readonly #foreseen: TableChange[] = []

  /** Remembers where a statement stands whose change is listed in the end. */
  note(file: SchemaFile, statement: Statement): void {
    for (const risk of statement.risks) {
      if (risk.kind !== 'listed') continue
      const { change, table, name } = risk
      this.#notes.push({
        change,
        table,
        name,
        place: `${file.path}, line ${lineOf(file, statement)}`,
      })
    }
  }

  /**
   * The statement takes away nothing: the tables have no rows, or the values stay. The same holds
   * for the tables that inherit from them.
   */
  pass(targets: Target[], known: FilledTables): void {
    for (const { oid, number, column, isLossless } of targets) {
      this.#passed.add(isLossless ? `${oid}/${number}` : oid)
      for (const child of known.descendants(oid)) {
        const own = child.columns.find(({ name }) => name === column)
        this.#passed.add(isLossless ? `${child.oid}/${own?.number}` : child.oid)
      }
    }
  }

  /** The column may go, or get another type. The same holds for the tables that inherit it. */
  passColumn(oid: string, number: number, name: string, known: FilledTables): void {
    this.#passed.add(`${oid}/${number}`)
    for (const child of known.descendants(oid)) {
      const own = child.columns.find((column) => column.name === name)
      if (own) this.#passed.add(`${child.oid}/${own.number}`)
    }
  }

  /** Tables that are empty, and locked. */
  passTables(oids: string[]): void {
    for (const oid of oids) this.#passed.add(oid)
  }

  /**
   * The statements, of a file that a dry run cannot run, would do this: no catalog will show it.
   */
  foresee(targets: Target[]): void {
    const changes = targets.map((target) => ({
      ...changeOf(target),
      ...(target.isLossless && { class: 'safe' as const }),
    }))
    this.#foreseen.push(...changes)
  }

  /** The statement may take it away. */
  allow(targets: Target[], known: FilledTables): void {
    const kept = targets.filter(({ isLossless }) => isLossless)
    this.pass(kept, known)
    this.#allowed.push(...targets.filter(({ isLossless }) => !isLossless).map(changeOf))
  }

  hasPassed({ oid, number }: TableChange): boolean {
    return this.#passed.has(oid) || this.#passed.has(`${oid}/${number}`)
  }

  hasPassedTable(oid: string): boolean {
    return this.#passed.has(oid)
  }

  /** After a commit others may have written into what was empty. */
  clearPassed(): void {
    this.#passed.clear()
  }

  /** The changes that the catalogs show, and those that only the statements tell of. */
  judge(changes: TableChange[]): TableChange[] {
    const isSame = (one: TableChange) => (other: TableChange) =>
      one.oid === other.oid && one.number === other.number && one.change === other.change
    const hidden = this.#allowed.filter((one, i) => {
      const isShown =
        [...changes, ...this.#foreseen].some(isSame(one)) ||
        this.#allowed.findIndex(isSame(one)) < i
      return !isShown && UNSEEN.has(one.change)
    })
    const judged = changes.map((one): TableChange => {
      if (one.change !== 'type_changed') return one
      if (this.#allowed.some(isSame(one))) return { ...one, class: 'data_loss' }
      return this.#passed.has(`${one.oid}/${one.number}`) ? { ...one, class: 'safe' } : one
    })
    return [...judged, ...hidden, ...this.#foreseen]
  }

  /** One for each rule that is gone, with its place where a statement tells of it. */
  warningsOf(changes: TableChange[]): string[] {
    return changes.flatMap((one) => {
      const what = describeRule(one)
      if (what === undefined) return []
      const note = this.#notes.find(
        ({ change, table, name }) =>
          change === one.change && name === one.from && isNamed(one.table, table),
      )
      return `${note ? `${note.place}: ` : ''}${what}`
    })
  }
}

/** Changes that leave the catalogs as they are. */
const UNSEEN = new Set<TableChange['change']>(['table_truncated', 'rows_deleted', 'type_changed'])

function changeOf({ oid, number, schema, name, column, change, from, to }: Target): TableChange {
  const table = tableName({ schema, name })
  return { oid, number, table, column, change, class: 'data_loss', from, to }
}

/** `shown` is as SQL writes it, with a schema or without. */
function isNamed(shown: string, name: string): boolean {
  const own = tableName({ schema: 'public', name })
  return shown === own || shown.endsWith(`.${own}`)
}

function describeRule({ change, table, from }: TableChange): string | undefined {
  switch (change) {
    case 'constraint_dropped':
      return `constraint ${from} of table ${table} is dropped`
    case 'policy_dropped':
      return `policy ${from} of table ${table} is dropped`
    case 'row_security_disabled':
      return `row level security of table ${table} is switched off`
    case 'row_security_forced':
      return `row level security of table ${table} is forced on its owner too`
    default:
      return undefined
  }
}
