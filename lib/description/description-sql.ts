import { isCallable, SEARCHED, TYPES_INSIDE } from '../call/signatures/signatures-sql.ts'
import { FIRST_NORMAL_OID } from '../postgres/oids.ts'

/** SQL condition on a pg_namespace: objects of the platform may be in it. */
const isOwnSchema = (namespace: string) => `${namespace}.nspname !~ '^(pg_|_db_gateway)'
  and ${namespace}.nspname <> 'information_schema'`

/** SQL condition: no extension has created the object. */
const isNoMember = (catalog: string, oid: string) => `not exists (
  select from pg_depend d
  where d.classid = '${catalog}'::regclass and d.objid = ${oid} and d.deptype = 'e'
)`

const ATTRIBUTES = `(
  select coalesce(json_agg(json_build_object(
    'name', a.attname,
    'type', format_type(a.atttypid, -1),
    'isNotNull', a.attnotnull,
    'about', coalesce(col_description(a.attrelid, a.attnum), '')
  ) order by a.attnum), '[]')
  from pg_attribute a
  where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
)`

/**
 * SQL for one JSON text: functions that /call offers, relations, and all types that these lead to.
 * `$1`: CALLABLE_SCHEMAS, or the schemas of the search path; `$2`: whether CALLABLE_SCHEMAS names
 * them. The search path must be pg_catalog, so that types are written with their schemas. Names
 * that /call does not take are left out.
 */
export const DESCRIPTION = `
  with recursive candidate as materialized (
    select distinct on (p.proname, p.proargtypes) p.*, n.nspname
    from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
    where ${isCallable(SEARCHED, '$2::boolean')} and p.proname ~ '^[a-z_][a-z0-9_]*$'
      -- PostgreSQL's own constructors of range types belong to the type.
      and not exists (
        select from pg_depend d
        where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'i'
      )
    order by p.proname, p.proargtypes, array_position(${SEARCHED}, n.nspname)
  ),
  parameter as materialized (
    select c.oid as function, p.position, p.type, coalesce(p.mode, 'i') as mode,
      nullif(p.name, '') as name,
      pg_get_function_arg_default(c.oid, p.position::int) as default
    from candidate c
    cross join unnest(
      coalesce(c.proallargtypes, c.proargtypes::oid[]), c.proargmodes, c.proargnames
    ) with ordinality as p (type, mode, name, position)
  ),
  relation as materialized (
    select c.oid, c.reltype, c.relkind, obj_description(c.oid, 'pg_class') as about
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f') and c.oid >= ${FIRST_NORMAL_OID}
      and not c.relispartition and c.relpersistence <> 't'
      and ${isOwnSchema('n')} and c.relname !~ '^_(db|stonescriptdb)_gateway'
      and ${isNoMember('pg_class', 'c.oid')}
  ),
  own_type as (
    select t.oid
    from pg_type t
    join pg_namespace n on n.oid = t.typnamespace
    where t.oid >= ${FIRST_NORMAL_OID} and ${isOwnSchema('n')}
      and (t.typtype in ('e', 'd') or (t.typtype = 'c' and exists (
        select from pg_class c where c.oid = t.typrelid and c.relkind = 'c'
      )))
      and ${isNoMember('pg_type', 't.oid')}
  ),
  reached as (
    select type from (
      select type from parameter
      union select prorettype from candidate
      union select reltype from relation
      union select oid from own_type
    ) as root
    union
    select inside.type
    from reached r
    join pg_type t on t.oid = r.type
    cross join lateral ${TYPES_INSIDE} as inside (type)
  )
  select json_build_object(
    'functions', (
      select coalesce(json_agg(json_build_object(
        'schema', c.nspname,
        'name', c.proname,
        'identity', format('%I.%I(%s)', c.nspname, c.proname, oidvectortypes(c.proargtypes)),
        'kind', case c.prokind when 'p' then 'procedure' else 'function' end,
        'volatility',
          case c.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end,
        'comment', coalesce(obj_description(c.oid, 'pg_proc'), ''),
        'returns', format_type(c.prorettype, -1),
        'returnsSet', c.proretset,
        'isVariadic', c.provariadic <> 0,
        'arguments', coalesce(p.arguments, '[]')
      ) order by c.proname collate "C", oidvectortypes(c.proargtypes) collate "C"), '[]')
      from candidate c
      left join (
        select function, json_agg(json_build_object(
          'name', name, 'type', format_type(type, -1), 'mode', mode, 'default', "default"
        ) order by position) as arguments
        from parameter
        group by function
      ) as p on p.function = c.oid
    ),
    'types', (
      select coalesce(json_agg(json_build_object(
        'name', format_type(t.oid, -1),
        'schema', n.nspname,
        'label', t.typname,
        'kind', case
          when t.typtype = 'b' and t.typcategory = 'A' then 'array'
          else case t.typtype
            when 'e' then 'enum' when 'c' then 'composite' when 'd' then 'domain'
            when 'r' then 'range' when 'm' then 'range' when 'p' then 'pseudo' else 'base'
          end
        end,
        'about', coalesce(r.about, obj_description(t.oid, 'pg_type'), ''),
        'of', case
          when t.typtype = 'd' then format_type(t.typbasetype, -1)
          when t.typtype = 'b' and t.typcategory = 'A' then format_type(t.typelem, -1)
        end,
        'isNotNull', t.typnotnull,
        'labels', case when t.typtype = 'e' then (
          select json_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid
        ) end,
        'attributes', case when t.typtype = 'c' then ${ATTRIBUTES} end,
        'relation', case when r.relkind in ('v', 'm') then 'view' when r.relkind is not null then 'table' end
      ) order by n.nspname collate "C", t.typname collate "C"), '[]')
      from reached
      join pg_type t on t.oid = reached.type
      join pg_namespace n on n.oid = t.typnamespace
      left join relation r on r.reltype = t.oid
    )
  )::text as description
`

/**
 * SQL for a text that changes with what SCHEMA_VERSION does not cover: columns of tables, values of
 * enums, and comments. The search path must be pg_catalog.
 */
export const DESCRIPTION_VERSION = `
  select coalesce(bit_xor(hash_record_extended(row(s.*), 0)), 0)::text as described
  from (
    select c.oid, c.relnamespace, c.relname::text, '0'::xid from pg_class c
    where c.oid >= ${FIRST_NORMAL_OID} and c.relpersistence <> 't' and c.relkind in ('r', 'p', 'v', 'm', 'f')
    union all
    select a.attrelid, 0::oid, a.attnum::text, a.xmin from pg_attribute a
    join pg_class c on c.oid = a.attrelid
    where c.oid >= ${FIRST_NORMAL_OID} and c.relpersistence <> 't' and a.attnum > 0
      and c.relkind in ('r', 'p', 'v', 'm', 'f', 'c')
    union all
    select d.objoid, d.classoid, d.objsubid::text, d.xmin from pg_description d
    where d.objoid >= ${FIRST_NORMAL_OID}
    union all
    select e.oid, e.enumtypid, e.enumlabel::text, e.xmin from pg_enum e
  ) as s
`
