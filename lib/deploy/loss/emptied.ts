import { FIRST_NORMAL_OID } from '../../postgres/oids.ts'
import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { FilledTables } from './filled-tables.ts'
import type { Loss } from './rows.ts'
import { emptiedSince, KNOWS_NO_ROW, TRACE, type Trace, withoutRows } from './traces.ts'

/**
 * Finds the tables that a transaction has emptied, whatever did it: a trigger, a rule, a function in
 * the middle of an INSERT. PostgreSQL counts for each transaction what it does to a table.
 */
export class Emptied {
  /** Of the transaction that is open; undefined: nothing is looked for. */
  #before: Promise<Map<string, Trace>> | undefined
  /** Read once all had run. */
  #ahead: Promise<Map<string, Trace>> | undefined
  /** Tables and views, by name alone, from which a statement deletes rows under a condition. */
  readonly #conditional = new Set<string>()
  readonly #told = new Set<string>()

  /** To be called where a transaction begins, and behind a step that may empty tables. */
  begin(sql: Sql): void {
    this.#conditional.clear()
    this.#told.clear()
    this.#before = readAllTraces(sql)
    // Where it fails, so does what is sent next.
    this.#before.catch(() => {})
  }

  /** Until `begin`: what is open may empty tables. */
  allow(): void {
    this.#before = undefined
  }

  /** As that of LossGuard, for `find`. */
  sendLast(sql: Sql): () => void {
    const ahead = readAllTraces(sql)
    ahead.catch(() => {})
    return () => {
      this.#ahead = ahead
    }
  }

  /** A condition says which rows go: all of them is what it says, then. */
  expect(names: string[]): void {
    for (const name of names) this.#conditional.add(name)
  }

  /** It has been told of them. */
  tell(losses: { oid: string }[]): void {
    for (const { oid } of losses) this.#told.add(oid)
  }

  /** The tables that have lost all their rows. A partition counts where its table has none left. */
  async find(sql: Sql, known: FilledTables): Promise<Loss[]> {
    const ahead = this.#ahead
    this.#ahead = undefined
    if (!this.#before) return []
    const [before, now] = await Promise.all([this.#before, ahead ?? readAllTraces(sql)])
    const emptied = await emptiedSince(sql, before, now)
    const found = emptied.filter(({ oid }) => !this.#told.has(oid))
    if (found.length === 0) return []
    const expected = await this.#findExpected(sql)
    const parents = found.flatMap(({ oid }) => known.parentsOf(oid))
    const empty = await withoutRows(sql, parents, 'all')
    return found.filter(({ oid }) => {
      const isWhole = known.parentsOf(oid).every((parent) => empty.has(parent))
      return isWhole && !expected.has(oid)
    })
  }

  /** With what goes with the rows: partitions, what a view shows, ON DELETE CASCADE. */
  async #findExpected(sql: Sql): Promise<Set<string>> {
    if (this.#conditional.size === 0) return new Set()
    const rows = await sql.unsafe<{ oid: string }[]>(
      `with recursive expected (oid) as (
         select oid from pg_class
         where relname in (select json_array_elements_text($1::text::json))
         union
         select next.oid
         from expected
         cross join lateral (
           select inhrelid from pg_inherits where inhparent = expected.oid
           union all
           select conrelid from pg_constraint
           where confrelid = expected.oid and contype = 'f' and confdeltype = 'c'
           union all
           select d.refobjid
           from pg_rewrite r
           join pg_class v on v.oid = r.ev_class and v.relkind = 'v'
           join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
             and d.refclassid = 'pg_class'::regclass
           where r.ev_class = expected.oid
         ) as next (oid)
       )
       select oid::text as oid from expected`,
      [JSON.stringify([...this.#conditional])],
    )
    return new Set(rows.map(({ oid }) => oid))
  }
}

/**
 * Of all plain tables of the platform, without waiting for a lock on any. Those that PostgreSQL's statistics know of no row in count as
 * empty: a table that is rewritten gets another file too.
 */
async function readAllTraces(sql: Sql): Promise<Map<string, Trace>> {
  const rows = await send(
    sql.unsafe<Trace[]>(`
      select ${TRACE}, ${KNOWS_NO_ROW} as "seemsEmpty"
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      where c.relkind = 'r' and c.relpersistence <> 't' and c.oid >= ${FIRST_NORMAL_OID}
        and c.relname !~ '^_db_gateway_' and n.nspname !~ '^pg_'
        and n.nspname <> 'information_schema'
    `),
  )
  return new Map(rows.map((row) => [row.oid, { ...row, isEmpty: row.seemsEmpty }]))
}
