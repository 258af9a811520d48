import type { Table } from '../changes/tables.ts'

/**
 * Tables and columns that may have rows of other transactions. Tables that the deploy itself
 * created are not among them.
 */
export class FilledTables {
  readonly #tables: Map<string, Table>

  constructor(tables: Table[]) {
    this.#tables = new Map(tables.map((table) => [table.oid, table]))
  }

  /** Returns whether the table, and the column if `number` is given, may have rows of others. */
  has(oid: string, number: number | null): boolean {
    const table = this.#tables.get(oid)
    if (!table || number === null) return table !== undefined
    return table.columns.some((column) => column.number === number)
  }

  /** Returns the oids of all plain tables. */
  tables(): string[] {
    return [...this.#tables.values()].flatMap(({ oid, kind }) => (kind === 'r' ? oid : []))
  }

  /** Returns the oids of the tables that a table inherits from or is a partition of. */
  parentsOf(oid: string): string[] {
    return this.#tables.get(oid)?.parents ?? []
  }

  /** Returns the tables that inherit from a table or are its partitions, at any depth. */
  descendants(oid: string): Table[] {
    const children = [...this.#tables.values()].filter(({ parents }) => parents.includes(oid))
    return children.flatMap((child) => [child, ...this.descendants(child.oid)])
  }

  /** Returns those of `tables` that may have rows of others, each without its new columns. */
  only(tables: Table[]): Table[] {
    return tables
      .filter(({ oid }) => this.has(oid, null))
      .map((table) => ({
        ...table,
        columns: table.columns.filter(({ number }) => this.has(table.oid, number)),
      }))
  }

  /** Returns whether the rows of a table are counted in one of `list`, its parent. */
  isPartOf(oid: string, list: { oid: string }[]): boolean {
    return this.parentsOf(oid).some((parent) => list.some((one) => one.oid === parent))
  }
}
