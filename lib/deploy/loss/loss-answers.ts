import type { SchemaFile } from '../../archive/archive.ts'
import { type TableChange, tableName } from '../changes/changes.ts'
import { lineOf } from '../failure.ts'
import type { ListedChange } from '../parser/risks.ts'
import type { Statement } from '../parser/statement.ts'
import type { FilledTables } from './filled-tables.ts'
import type { Target } from './targets.ts'

/** A statement that weakens a rule for the data, and its position. */
interface Note {
  change: ListedChange
  table: string
  name: string | null
  place: string
}

/** Results of the checks of a deploy's statements: what loses nothing, and what is permitted. */
export class LossAnswers {
  /** Oids of tables without rows, and `oid/number` of columns whose type changes without loss. */
  readonly #passed = new Set<string>()
  readonly #notes: Note[] = []
  /** Permitted losses that the catalogs may not show. */
  readonly #allowed: TableChange[] = []
  readonly #foreseen: TableChange[] = []

  /** Records the position of a statement whose change the deploy's warnings will list. */
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
   * Records that a statement takes nothing away: the tables have no rows, or the values stay the
   * same. The same is recorded for the tables that inherit from them.
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

  /** Permits that the column, and those that inherit it, is dropped or gets another type. */
  passColumn(oid: string, number: number, name: string, known: FilledTables): void {
    this.#passed.add(`${oid}/${number}`)
    for (const child of known.descendants(oid)) {
      const own = child.columns.find((column) => column.name === name)
      if (own) this.#passed.add(`${child.oid}/${own.number}`)
    }
  }

  /** Records tables that are empty and locked. */
  passTables(oids: string[]): void {
    for (const oid of oids) this.#passed.add(oid)
  }

  /** Records the changes of a statement that a dry run cannot run; no catalog will show them. */
  foresee(targets: Target[]): void {
    const changes = targets.map((target) => ({
      ...changeOf(target),
      ...(target.isLossless && { class: 'safe' as const }),
    }))
    this.#foreseen.push(...changes)
  }

  /** Permits the losses of a statement. */
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

  /** Forgets the empty tables: after a commit other transactions may write to them. */
  clearPassed(): void {
    this.#passed.clear()
  }

  /** Returns the changes that the catalogs show, and those that only the statements show. */
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

  /** Returns a warning for each rule that is gone, with file and line if a statement shows it. */
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

/** Changes that may leave no trace in the catalogs. */
const UNSEEN = new Set<TableChange['change']>(['table_truncated', 'rows_deleted', 'type_changed'])

function changeOf({ oid, number, schema, name, column, change, from, to }: Target): TableChange {
  const table = tableName({ schema, name })
  return { oid, number, table, column, change, class: 'data_loss', from, to }
}

/** Returns whether `shown`, as SQL writes it with or without schema, ends in the name. */
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
