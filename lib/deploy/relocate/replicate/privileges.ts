import type { Objects } from '../check.ts'
import { REPLICATED } from './published.ts'

/** The first version whose replication writes to a table as the owner of the table. */
export const AS_OWNER = 16

/**
 * The rows are copied with INSERT, of an empty table too, and dumped with SELECT. What changes them later is
 * replicated only where somebody may do that: others than the owner, whoever may by a column, and whoever may by a
 * table above, of which alone PostgreSQL asks then. A table that is only added to can be moved.
 */
const NOT_WRITTEN: Objects = {
  what: 'tables whose owner may not write them, as which the other server does',
  hint: '"grant … on … to" their owner for the move; with SELECT "how": "dump" moves them too',
  sql: `with recursive above (oid, ancestor) as (
      select inhrelid, inhparent from pg_inherits
      union
      select a.oid, i.inhparent from above a join pg_inherits i on i.inhrelid = a.ancestor
    ), granted (oid, privilege) as (
      select c.oid, a.privilege_type
      from pg_class c cross join aclexplode(c.relacl) a where a.grantee <> c.relowner
      union
      select above.oid, a.privilege_type
      from above join pg_class c on c.oid = above.ancestor
        cross join aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
      union
      select t.oid, a.privilege_type
      from (select oid, oid from pg_class union all select oid, ancestor from above) as t (oid, source)
        join pg_attribute c on c.attrelid = t.source and not c.attisdropped
        cross join aclexplode(c.attacl) a
    )
    select format('%s: %s', c.oid::regclass, string_agg(p.name, ', ' order by p.name)) as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
      cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) as p (name)
    where ${REPLICATED} and not has_table_privilege(c.relowner, c.oid, p.name) and (
      p.name in ('SELECT', 'INSERT')
      or exists (select from granted g where g.oid = c.oid and g.privilege = p.name)
    )
    group by c.oid`,
}

/** Returns what privileges keep a database from being replicated to a server of this major version. */
export function privilegeObjects(major: number): Objects[] {
  return major < AS_OWNER ? [] : [NOT_WRITTEN]
}
