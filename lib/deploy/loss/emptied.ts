import { sentAhead } from '../../postgres/ahead.ts'
import { FIRST_NORMAL_OID } from '../../postgres/oids.ts'
import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { FilledTables } from './filled-tables.ts'
import type { Loss } from './rows.ts'
import { emptiedSince, KNOWS_NO_ROW, TRACE, type Trace, withoutRows } from './traces.ts'

/**
 * Finds the tables that a transaction has emptied by any means: a trigger, a rule, a function
 * called by an INSERT. It uses PostgreSQL's per-transaction counters (pg_stat_get_xact_*).
 */
export class Emptied {
  /** Traces from the start of the open transaction; undefined if losses are not looked for. */
  #before: Promise<Map<string, Trace>> | undefined
  /** Traces read right after the last statement, for `find`; see `sendLast`. */
  #ahead: Promise<Map<string, Trace>> | undefined
  /** Names (without schema) of tables and views from which a statement deletes rows with WHERE. */
  readonly #conditional = new Set<string>()
  readonly #told = new Set<string>()

  /**
   * Starts the search: call it when a transaction begins, and after a step that may empty tables.
   */
  begin(sql: Sql): void {
    this.#conditional.clear()
    this.#told.clear()
    this.#before = sentAhead(sql, readAllTraces(sql))
  }

  /** Stops the search until `begin`: the open transaction may empty tables. */
  allow(): void {
    this.#before = undefined
  }

  /** Sends the query for `find` ahead of time, as `LossGuard.sendLast`. */
  sendLast(sql: Sql): () => void {
    const ahead = sentAhead(sql, readAllTraces(sql))
    return () => {
      this.#ahead = ahead
    }
  }

  /** Excuses tables that a DELETE with WHERE empties: the condition states which rows go. */
  expect(names: string[]): void {
    for (const name of names) this.#conditional.add(name)
  }

  /** Leaves tables out of later results: their loss has been reported. */
  tell(losses: { oid: string }[]): void {
    for (const { oid } of losses) this.#told.add(oid)
  }

  /**
   * Returns the tables that lost all rows. A partition counts only if its parents are empty too.
   */
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

  /**
   * Returns the excused tables with those that lose rows along: partitions, tables that a view
   * reads, ON DELETE CASCADE.
   */
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
 * Whether a table is empty, which a new relfilenode alone does not tell from one that TRUNCATE has emptied:
 * it has no pages, or PostgreSQL's statistics have counted rows into it and know of none. They know of none in
 * a copy of a database either, and after a crash of the server. pg_relation_size waits for whoever changes the
 * table: such a table does not count as empty.
 */
const IS_EMPTY = `
  case when ${KNOWS_NO_ROW} then case
    when pg_stat_get_tuples_inserted(c.oid) > 0 then true
    when c.oid = any (array(
      select l.relation from pg_locks l
      where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock' and l.pid <> pg_backend_pid()
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
    )) then false
    else pg_relation_size(c.oid) = 0
  end else false end
`

/** Reads the traces of all plain tables of the platform without waiting for table locks. */
async function readAllTraces(sql: Sql): Promise<Map<string, Trace>> {
  const rows = await send(
    sql.unsafe<Trace[]>(`
      select ${TRACE}, ${IS_EMPTY} as "seemsEmpty"
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      where c.relkind = 'r' and c.relpersistence <> 't' and c.oid >= ${FIRST_NORMAL_OID}
        and c.relname !~ '^_db_gateway_' and n.nspname !~ '^pg_'
        and n.nspname <> 'information_schema'
    `),
  )
  return new Map(rows.map((row) => [row.oid, { ...row, isEmpty: row.seemsEmpty }]))
}
