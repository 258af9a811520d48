import type { Objects } from '../check.ts'
import { REPLICATED } from './published.ts'

/** The first version whose replication writes to a table as the owner of the table. */
export const AS_OWNER = 16

/**
 * The rows are copied with INSERT, of an empty table too. What changes them later is replicated only where
 * somebody else than the owner may do that: a table that is only added to can be moved.
 */
const NOT_WRITTEN: Objects = {
  what: 'tables whose owner may not write them, as which the other server does',
  hint: '"grant … on … to" their owner for the move, or move it with "how": "dump"',
  sql: `select format('%s: %s', c.oid::regclass, string_agg(p.name, ', ')) as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
      cross join unnest(array['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) as p (name)
    where ${REPLICATED} and not has_table_privilege(c.relowner, c.oid, p.name) and (
      p.name = 'INSERT' or exists (
        select from aclexplode(c.relacl) a
        where a.privilege_type = p.name and a.grantee <> c.relowner
      )
    )
    group by c.oid`,
}

/** Returns what privileges keep a database from being replicated to a server of this major version. */
export function privilegeObjects(major: number): Objects[] {
  return major < AS_OWNER ? [] : [NOT_WRITTEN]
}
