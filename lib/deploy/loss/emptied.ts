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
  #before: Promise<Map<string, SeenTrace>> | undefined
  /** Traces read right after the last statement, for `find`; see `sendLast`. */
  #ahead: Promise<Map<string, SeenTrace>> | undefined
  /** Names (without schema) of tables and views from which a statement deletes rows with WHERE. */
  readonly #conditional = new Set<string>()
  readonly #told = new Set<string>()
  #isSure = false

  /**
   * Starts the search: call it when a transaction begins, and after a step that may empty tables.
   */
  begin(sql: Sql): void {
    this.#conditional.clear()
    this.#told.clear()
    this.#isSure = false
    this.#before = sentAhead(sql, readAllTraces(sql))
  }

  /** Stops the search until `begin`: the open transaction may empty tables. */
  allow(): void {
    this.#before = undefined
  }

  /**
   * Looks for rows in the tables of which the statistics know none although they have pages: they may be
   * those of a copy of a database, or older than a crash of the server, or newer than the statistics. Call
   * it before the first statement whose triggers or rules may empty tables.
   * @throws {PostgresError} 55P03 if such a table is locked for longer than lock_timeout
   */
  async makeSure(sql: Sql): Promise<void> {
    if (!this.#before || this.#isSure) return
    this.#isSure = true
    const before = await this.#before
    const unknown = [...before.values()].filter(({ hasPages }) => hasPages)
    const oids = unknown.flatMap(({ oid, isReadable }) => (isReadable ? oid : []))
    const empty = await withoutRows(sql, oids, 'as they are seen')
    for (const one of unknown) before.set(one.oid, { ...one, isEmpty: empty.has(one.oid) })
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

interface SeenTrace extends Trace {
  /** The statistics know of no row, but the table has pages. */
  hasPages: boolean
  isReadable: boolean
}

/** Tables that somebody else changes, for which pg_relation_size would wait; they do not count as empty. */
const LOCKED = `array(
  select l.relation from pg_locks l
  where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock' and l.pid <> pg_backend_pid()
    and l.database = (select d.oid from pg_database d where d.datname = current_database())
)`

/**
 * Reads the traces of all plain tables of the platform without waiting for table locks. A table counts as
 * empty if PostgreSQL's statistics know of no row in it, because a new relfilenode alone does not tell
 * TRUNCATE from a rewrite of an empty table; see `makeSure`.
 */
async function readAllTraces(sql: Sql): Promise<Map<string, SeenTrace>> {
  const rows = await send(
    sql.unsafe<SeenTrace[]>(`
      select ${TRACE}, known.is_empty as "seemsEmpty",
        case when known.is_empty then coalesce(pg_relation_size(c.oid), 0) > 0 else false end
          as "hasPages",
        has_schema_privilege(n.oid, 'USAGE') and has_table_privilege(c.oid, 'SELECT')
          as "isReadable"
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      cross join lateral (
        select ${KNOWS_NO_ROW} and c.oid <> all (${LOCKED}) as is_empty
      ) as known
      where c.relkind = 'r' and c.relpersistence <> 't' and c.oid >= ${FIRST_NORMAL_OID}
        and c.relname !~ '^_db_gateway_' and n.nspname !~ '^pg_'
        and n.nspname not in ('information_schema', '_db_gateway')
    `),
  )
  return new Map(rows.map((row) => [row.oid, { ...row, isEmpty: row.seemsEmpty }]))
}
