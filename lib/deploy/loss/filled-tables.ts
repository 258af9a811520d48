import type { Table } from '../changes/tables.ts'

/** Tables and columns that may have rows of others. What the deploy itself made has none. */
export class FilledTables {
  readonly #tables: Map<string, Table>

  constructor(tables: Table[]) {
    this.#tables = new Map(tables.map((table) => [table.oid, table]))
  }

  /** Whether the table was there, and the column where it is about one. */
  has(oid: string, number: number | null): boolean {
    const table = this.#tables.get(oid)
    if (!table || number === null) return table !== undefined
    return table.columns.some((column) => column.number === number)
  }

  /** The oids of all plain tables. */
  tables(): string[] {
    return [...this.#tables.values()].flatMap(({ oid, kind }) => (kind === 'r' ? oid : []))
  }

  /** The oids of what a table inherits from, or is a partition of. */
  parentsOf(oid: string): string[] {
    return this.#tables.get(oid)?.parents ?? []
  }

  /** The tables that inherit from a table, or are its partitions, at any depth. */
  descendants(oid: string): Table[] {
    const children = [...this.#tables.values()].filter(({ parents }) => parents.includes(oid))
    return children.flatMap((child) => [child, ...this.descendants(child.oid)])
  }

  /** The tables that were there, with the columns that were. */
  only(tables: Table[]): Table[] {
    return tables
      .filter(({ oid }) => this.has(oid, null))
      .map((table) => ({
        ...table,
        columns: table.columns.filter(({ number }) => this.has(table.oid, number)),
      }))
  }

  /** Whether the rows of a table count among those of another one in the list, as its partition. */
  isPartOf(oid: string, list: { oid: string }[]): boolean {
    return this.parentsOf(oid).some((parent) => list.some((one) => one.oid === parent))
  }
}
