import type { Node } from 'libpg-query'
import { sqlName } from '../parser/names.ts'
import { readStatement } from '../parser/parser.ts'
import type { Statement } from '../parser/statement.ts'
import type { SeededTable } from '../result.ts'
import type { Script } from '../run/run-file.ts'

/** An INSERT of a seeder. */
export interface Seed {
  statement: Statement
  /** Name of the table as SQL. */
  table: string
  /** Name of the table for reports; without the schema if that is public. */
  name: string
  /** Rows of VALUES as texts; equal rows have equal texts. Empty if a query supplies the rows. */
  rows: string[]
}

/** Returns the INSERT statements of seeders, in order. */
export async function readSeeds(scripts: Script[]): Promise<Seed[]> {
  const statements = scripts.flatMap((script) => script.statements)
  const read = await Promise.all(statements.map(({ text }) => readStatement(text)))
  return read.flatMap(({ node }, i) => (node ? seedOf(statements[i]!, node) : []))
}

function seedOf(statement: Statement, node: Node): Seed[] {
  if (!('InsertStmt' in node) || !node.InsertStmt.relation) return []
  const { relation, selectStmt } = node.InsertStmt
  const values =
    selectStmt && 'SelectStmt' in selectStmt ? selectStmt.SelectStmt.valuesLists : undefined
  const { schemaname, relname = '' } = relation
  const name = schemaname && schemaname !== 'public' ? `${schemaname}.${relname}` : relname
  const rows = (values ?? []).map((row) => JSON.stringify(row, withoutPlace))
  return [{ statement, table: sqlName(relation), name, rows }]
}

function withoutPlace(key: string, value: unknown): unknown {
  return key === 'location' ? undefined : value
}

/** Counts the rows that seeders insert. All rows of a seeder that does not run count as skipped. */
export class SeedCount {
  readonly #seeds: Seed[]
  readonly #inserted = new Map<Statement, number>()

  constructor(seeds: Seed[]) {
    this.#seeds = seeds
  }

  readonly onRows = (statement: Statement, rows: number): void => {
    this.#inserted.set(statement, rows)
  }

  /** Returns the counts by table, in the order of the first INSERT. */
  tables(): SeededTable[] {
    const tables = new Map<string, SeededTable>()
    for (const { statement, name, rows } of this.#seeds) {
      const { inserted, skipped } = tables.get(name) ?? { inserted: 0, skipped: 0 }
      const own = this.#inserted.get(statement) ?? 0
      const left = Math.max(0, rows.length - own)
      tables.set(name, { table: name, inserted: inserted + own, skipped: skipped + left })
    }
    return [...tables.values()]
  }
}
