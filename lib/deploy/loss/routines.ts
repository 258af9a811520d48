import type { Sql } from '../../postgres/pools/connection.ts'
import type { Hidden } from '../parser/hidden.ts'
import { readRoutine } from '../parser/parser.ts'
import { isAboutRows, type RowRisk } from './targets.ts'

/** Combined effects of a statement's DO block and of all functions that it reaches by calls. */
export interface Behind {
  risks: RowRisk[]
  /** Some of it runs dynamic SQL, or cannot be read: it may do anything. */
  runsText: boolean
  /** Names (without schema) of tables from which it deletes rows with WHERE. */
  deletes: string[]
  /** Whether it commits or rolls back, so that it cannot run within a transaction. */
  commits: boolean
}

/** Limit of functions that are read per statement; beyond it the effect counts as unknown. */
const MAX_ROUTINES = 100

/** Reads the functions that a statement reaches, from their definitions in the database. */
export async function readBehind(sql: Sql, hidden: Hidden): Promise<Behind> {
  const seen = new Set<string>()
  const found = [hidden]
  let calls = hidden.calls
  while (calls.length > 0) {
    const routines = await definitionsOf(sql, calls)
    const unread = routines.filter(({ oid }) => !seen.has(oid))
    for (const { oid } of unread) seen.add(oid)
    if (seen.size > MAX_ROUTINES) return { risks: [], runsText: true, deletes: [], commits: false }
    const read = await Promise.all(unread.map(({ definition }) => readRoutine(definition)))
    found.push(...read)
    calls = read.flatMap((one) => one.calls)
  }
  return {
    risks: found.flatMap(({ risks }) => risks).filter(isAboutRows),
    runsText: found.some(({ runsText }) => runsText),
    deletes: found.flatMap(({ deletes }) => deletes),
    commits: found.some(({ commits }) => commits),
  }
}

/**
 * Reads all functions and procedures that have one of the names, except those of PostgreSQL and of
 * extensions, which lose no rows.
 */
async function definitionsOf(
  sql: Sql,
  names: string[],
): Promise<{ oid: string; definition: string }[]> {
  return sql.unsafe(
    `select p.oid::text as oid, pg_get_functiondef(p.oid) as definition
     from pg_proc p
     where p.proname in (select json_array_elements_text($1::text::json))
       and p.prokind in ('f', 'p')
       and p.pronamespace not in (
         'pg_catalog'::regnamespace, 'information_schema'::regnamespace
       )
       and not exists (
         select from pg_depend d
         where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
       )`,
    [JSON.stringify(names)],
  )
}
