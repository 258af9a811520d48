import type { Sql } from '../../../postgres/pools/connection.ts'
import { readMajor } from '../../../postgres/server-tools.ts'
import type { Owner } from '../../../tenancy/names.ts'
import { findNames, moveRefused, type Objects } from '../check.ts'
import { AS_OWNER, privilegeObjects } from './privileges.ts'
import { REPLICATED } from './published.ts'

/** What would run a second time on the other server. */
export const TRIGGERS: Objects = {
  what: 'triggers that are enabled ALWAYS or REPLICA, which would run again on the other server',
  hint: '"alter table … enable trigger" for the move',
  sql: `select format('%I on %s', tgname, tgrelid::regclass) as name from pg_trigger
    where tgenabled in ('A', 'R') and not tgisinternal`,
}

/** Functions that may be called as a superuser: an oid in `f`. They run no code of others, and change nothing. */
const IS_HARMLESS = `exists (
  select from pg_proc p where p.oid = f and p.oid < 16384 and (
    p.provolatile = 'i'
    -- of dates and times, or without an argument
    or p.provolatile = 's'
      and p.proargtypes::oid[] <@ array[1082, 1083, 1114, 1184, 1186, 1266]::oid[]
    or p.proname in ('nextval', 'clock_timestamp', 'random', 'gen_random_uuid', 'uuidv7')
  )
)`

/**
 * Functions of the platform that PostgreSQL calls when a row is written. Before version 16 replication writes
 * as the owner of the subscription, a superuser: a function that a platform has written would be one, too.
 * pg_depend does not have PostgreSQL's own functions, of which some run a query that they are given.
 */
const CODE: Objects[] = [
  {
    what: 'checks, generated columns, defaults, indexes, partitions or domains with functions of their own, which the other server would call as a superuser',
    hint: 'Upgrade the other server to PostgreSQL 16 or later, or move it with "how": "dump"',
    sql: `select distinct name from (
        select format('%I', conname) as name, conbin::text as tree
        from pg_constraint where contype = 'c' and contypid >= 16384
        union all
        select format('%I on %s', conname, conrelid::regclass), conbin::text
        from pg_constraint k join pg_class c on c.oid = conrelid
          join pg_namespace n on n.oid = c.relnamespace
        where contype = 'c' and ${REPLICATED}
        union all
        select format('%I of %s', a.attname, c.oid::regclass), d.adbin::text
        from pg_attrdef d join pg_class c on c.oid = d.adrelid
          join pg_namespace n on n.oid = c.relnamespace
          join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
        where ${REPLICATED}
        union all
        select i.indexrelid::regclass::text, concat(i.indexprs::text, i.indpred::text)
        from pg_index i join pg_class c on c.oid = i.indrelid
          join pg_namespace n on n.oid = c.relnamespace
        where ${REPLICATED}
        union all
        select partrelid::regclass::text, partexprs::text from pg_partitioned_table
        union all
        select oid::regtype::text, typdefaultbin::text from pg_type where oid >= 16384
      ) trees, regexp_matches(tree, ':(?:funcid|opfuncid) ([0-9]+)', 'g') as found,
      cast(found[1] as oid) as f
      where not ${IS_HARMLESS}
      union
      select rngtypid::regtype::text from pg_range
      where rngsubdiff::oid >= 16384 or rngcanonical::oid >= 16384`,
  },
]

/**
 * Returns what code and privileges keep a database from being replicated to a server of this major version: on it
 * depends as which role the server writes.
 */
export function objectsFor(major: number): Objects[] {
  const code = major < AS_OWNER ? [TRIGGERS, ...CODE] : [TRIGGERS]
  return [...code, ...privilegeObjects(major)]
}

/**
 * Checks that replication runs no code of the platform, and may write all tables. The source was checked while
 * it was in use: what counts is what the copy has.
 * @param copy session of the gateway's own role in the copy, in which nobody else works
 * @throws {GatewayError} move_refused
 */
export async function checkCopy(copy: Sql, owner: Owner): Promise<void> {
  for (const objects of objectsFor(await readMajor(copy))) {
    const names = await findNames(copy, objects)
    if (names.length === 0) continue
    throw moveRefused(
      owner,
      `not by logical replication: it has ${objects.what} (${names.join(', ')})`,
      objects.hint,
    )
  }
}
