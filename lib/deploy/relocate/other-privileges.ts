import { FIRST_NORMAL_OID } from '../../postgres/oids.ts'

/** A catalog with privileges. */
interface Catalog {
  name: string
  acl: string
  owner: string
  /** Kind of object for `acldefault`. */
  kind: string
  /** Condition on its rows. */
  where?: string
}

const CATALOGS: Catalog[] = [
  { name: 'pg_proc', acl: 'proacl', owner: 'proowner', kind: 'f' },
  {
    name: 'pg_class',
    acl: 'relacl',
    owner: 'relowner',
    kind: 'r',
    // Its views are granted after PostgreSQL has noted what privileges it comes with.
    where: "o.relnamespace <> 'information_schema'::regnamespace",
  },
  { name: 'pg_language', acl: 'lanacl', owner: 'lanowner', kind: 'l' },
  { name: 'pg_type', acl: 'typacl', owner: 'typowner', kind: 'T' },
]

const NAMESPACES: Catalog = {
  name: 'pg_namespace',
  acl: 'nspacl',
  owner: 'nspowner',
  kind: 'n',
  // What PUBLIC may do in the schema public is the gateway's own; of information_schema nothing is noted.
  where: "o.nspname = 'pg_catalog'",
}

/** Condition: two lists of privileges are not the same, in whatever order. */
function differ(one: string, other: string): string {
  return `not (${one} @> ${other} and ${one} <@ ${other})`
}

/**
 * Names of objects that come with PostgreSQL or an extension, and whose privileges are not those of then
 * (PostgreSQL manual, "pg_init_privs").
 */
export const OTHER_PRIVILEGES = [...CATALOGS, NAMESPACES]
  .map(({ name, acl, owner, kind, where = 'true' }) => {
    const ofNow = `coalesce(o.${acl}, acldefault('${kind}', o.${owner}))`
    const ofThen = `coalesce(i.initprivs, acldefault('${kind}', o.${owner}))`
    return `
    select pg_describe_object('${name}'::regclass, o.oid, 0) as name
    from ${name} o left join pg_init_privs i
      on i.classoid = '${name}'::regclass and i.objoid = o.oid and i.objsubid = 0
    where ${differ(ofNow, ofThen)} and ${where}
      and (
        o.oid < ${FIRST_NORMAL_OID}
        or exists (
          select from pg_depend e
          where e.classid = '${name}'::regclass and e.objid = o.oid and e.deptype = 'e'
        )
      )`
  })
  .concat(`
    select pg_describe_object('pg_class'::regclass, o.attrelid, o.attnum) as name
    from pg_attribute o left join pg_init_privs i
      on i.classoid = 'pg_class'::regclass and i.objoid = o.attrelid and i.objsubid = o.attnum
    where o.attacl is not null and o.attrelid < ${FIRST_NORMAL_OID}
      and ${differ('o.attacl', "coalesce(i.initprivs, '{}')")}`)
  .join(' union all ')
