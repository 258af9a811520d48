import { FIRST_NORMAL_OID } from '../../postgres/oids.ts'
import { quoteLiteral } from '../../postgres/quote.ts'

/** Returns a condition for `ownedObjects`: the owner is the gateway's role or `other`. */
export function ofGatewayOr(other: string | null): string {
  return `owner in (current_user::regrole, (select oid from pg_roles where rolname = ${quoteLiteral(other ?? '')}))`
}

/**
 * Catalogs of which every row counts, with their columns for the owner and the schema ('0' if there
 * is none).
 */
const PLAIN = [
  ['pg_operator', 'oprowner', 'oprnamespace'],
  ['pg_opclass', 'opcowner', 'opcnamespace'],
  ['pg_opfamily', 'opfowner', 'opfnamespace'],
  ['pg_collation', 'collowner', 'collnamespace'],
  ['pg_conversion', 'conowner', 'connamespace'],
  ['pg_ts_dict', 'dictowner', 'dictnamespace'],
  ['pg_ts_config', 'cfgowner', 'cfgnamespace'],
  ['pg_statistic_ext', 'stxowner', 'stxnamespace'],
  ['pg_foreign_server', 'srvowner', '0'],
  ['pg_publication', 'pubowner', '0'],
]
  .map(
    ([catalog, owner, schema]) =>
      `select '${catalog}'::regclass, oid, ${owner}, ${schema} from ${catalog} union all`,
  )
  .join('\n      ')

/**
 * Returns SQL for all objects with an owner of their own for which the condition on `owner`, an
 * oid, holds. Sequences of columns, row types and array types are left out, since they follow their
 * table or type; so are members of extensions. Schemas come first: the new owner of an object needs
 * CREATE on its schema.
 * REASSIGN OWNED is no alternative: it would also give away the gateway's other databases.
 */
export function ownedObjects(condition: string): string {
  return `
    with owned (classid, objid, owner, namespace) as (
      select 'pg_namespace'::regclass, oid, nspowner, oid from pg_namespace
      union all
      select 'pg_class'::regclass, oid, relowner, relnamespace from pg_class c
      where relkind in ('r', 'p', 'v', 'm', 'f', 'S')
        and not (relkind = 'S' and exists (
          select from pg_depend d
          where d.classid = 'pg_class'::regclass and d.objid = c.oid
            and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
        ))
      union all
      select 'pg_proc'::regclass, oid, proowner, pronamespace from pg_proc p
      -- The constructors of a range type, whoever makes it, are PostgreSQL's own.
      where not exists (
        select from pg_depend d
        where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'i'
      )
      union all
      select 'pg_type'::regclass, t.oid, typowner, typnamespace from pg_type t
      where typtype <> 'm'
        and not exists (select from pg_type e where e.typarray = t.oid)
        and not exists (select from pg_class c where c.oid = t.typrelid and c.relkind <> 'c')
      union all
      ${PLAIN}
      select 'pg_largeobject'::regclass, oid, lomowner, 0 from pg_largeobject_metadata
    )
    select
      case o.type when 'statistics object' then 'statistics' else o.type end as type,
      o.identity,
      pg_get_userbyid(owner) as owner
    from owned
    cross join pg_identify_object(owned.classid, owned.objid, 0) o
    left join pg_class c on classid = 'pg_class'::regclass and c.oid = objid
    where ${condition}
      and objid >= ${FIRST_NORMAL_OID}
      and namespace is distinct from to_regnamespace('_db_gateway')
      -- Temporary objects end with their sessions.
      and not exists (
        select from pg_namespace t where t.oid = namespace and t.nspname ~ '^pg_(toast_)?temp_'
      )
      and (owned.classid <> 'pg_namespace'::regclass or objid <> 'public'::regnamespace)
      and (c.relname is null or c.relname not like '\\_db\\_gateway\\_%')
      and not exists (
        select from pg_depend d
        where d.classid = owned.classid and d.objid = owned.objid and d.deptype = 'e'
      )
    order by classid <> 'pg_namespace'::regclass
  `
}
