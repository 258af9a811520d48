import type { Sql } from '../../postgres/pools/connection.ts'
import type { Hidden } from '../parser/hidden.ts'
import { readRoutine } from '../parser/parser.ts'
import { isAboutRows, type RowRisk } from './targets.ts'

/** What runs behind a statement, with the functions that it calls and those that they call. */
export interface Behind {
  risks: RowRisk[]
  /** It may do anything. */
  runsText: boolean
  /** The tables, by name alone, from which it deletes rows under a condition. */
  deletes: string[]
  /** It commits or rolls back by itself, so that it cannot run in a transaction. */
  commits: boolean
}

/** More functions than that are not read: what they do counts as unknown. */
const MAX_ROUTINES = 100

/** Reads the functions that a statement reaches from their definitions in the database. */
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

/** All that have one of the names; those of PostgreSQL and of extensions lose no rows. */
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
