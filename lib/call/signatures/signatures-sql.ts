/**
 * SQL for the schemas in which /call looks, in order: those of CALLABLE_SCHEMAS, `$1`, or the
 * search path.
 */
export const SEARCHED = `coalesce(string_to_array($1::text, ',')::name[], current_schemas(false))`

/**
 * SQL for the argument types of `p`, a pg_proc row, in `n`, its pg_namespace row: they identify the
 * function among those of the same name and schema. A subquery finds each type: with a join
 * PostgreSQL would read all types for each function.
 */
export const TYPES_KEY = `(
  select coalesce(string_agg((
    select format('%I.%I', tn.nspname, t.typname)
    from pg_type t join pg_namespace tn on tn.oid = t.typnamespace
    where t.oid = a.type
  ), ',' order by a.place), '')
  from unnest(p.proargtypes) with ordinality as a (type, place)
)`

/** SQL for the types that `t`, a pg_type row, consists of: a domain, an array or a composite type. */
export const TYPES_INSIDE = `(
  select t.typbasetype where t.typtype = 'd'
  union all
  select t.typelem where t.typtype = 'b' and t.typcategory = 'A'
  union all
  select a.atttypid
  from pg_attribute a
  where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
)`

/**
 * Returns an SQL condition on a pg_proc row `p` in a pg_namespace row `n`: /call offers the
 * function. It must be a plain function or a procedure in a schema of `searched`. Left out are
 * functions that SQL cannot call (trigger functions, handlers, internal arguments), those of this
 * gateway and of the original gateway, and those in temporary schemas.
 *
 * A built-in function or one of an extension counts only if `isNamed` (SQL) says that
 * CALLABLE_SCHEMAS names its schema. An extension's function in `public` never counts, since
 * `public` is named for other reasons.
 */
export function isCallable(searched: string, isNamed: string): string {
  return `(
    p.prokind in ('f', 'p')
    and p.prorettype not in (
      'trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype,
      'language_handler'::regtype, 'fdw_handler'::regtype, 'index_am_handler'::regtype,
      'table_am_handler'::regtype, 'tsm_handler'::regtype
    )
    and p.provariadic <> '"any"'::regtype
    and 'internal'::regtype <> all (p.proargtypes)
    and not starts_with(p.proname::text, '_db_gateway')
    and not starts_with(p.proname::text, '_stonescriptdb_gateway_')
    and n.nspname = any (${searched})
    and n.nspname !~ '^(_db_gateway|pg_(toast_)?temp_)'
    and (
      (${isNamed} and n.nspname <> 'public')
      or (n.nspname not in ('pg_catalog', 'information_schema') and not exists (
        select from pg_depend d
        where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
      ))
    )
  )`
}

/**
 * SQL, common table expressions: `signature (function, signature)` has a row for each function that
 * /call offers. `$1`: the schemas; `$2`: whether CALLABLE_SCHEMAS names them. Catalog columns:
 * PostgreSQL manual, "pg_proc" and "pg_type". Types are qualified, since the search path is
 * pg_catalog. A signature contains no oid.
 */
export const SIGNATURES = `
  candidate as materialized (
    -- Of equal functions, the first in the search path, as PostgreSQL resolves a call.
    -- Not pg_function_is_visible: pg_catalog is first and would hide a function named version().
    select distinct on (p.proname, p.proargtypes) p.*, n.nspname, l.lanname
    from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
    join pg_language l on l.oid = p.prolang
    where ${isCallable(SEARCHED, '$2::boolean')}
    order by p.proname, p.proargtypes, array_position(${SEARCHED}, n.nspname)
  ),
  parameter as materialized (
    select c.oid as function, p.position, p.type, coalesce(p.mode, 'i') as mode,
      nullif(p.name, '') as name,
      case when c.provariadic <> 0 then pg_get_function_arg_default(c.oid, p.position::int) end
        as default
    from candidate c
    cross join unnest(
      coalesce(c.proallargtypes, c.proargtypes::oid[]), c.proargmodes, c.proargnames
    ) with ordinality as p (type, mode, name, position)
    where p.mode is null or p.mode in ('i', 'b', 'v') or (p.mode = 'o' and c.prokind = 'p')
  ),
  below as (
    -- A domain converts as its base type.
    select t.oid as type, t.oid as base, t.typtype, t.typbasetype
    from pg_type t
    where t.oid in (select type from parameter union select prorettype from candidate)
    union all
    select b.type, t.oid, t.typtype, t.typbasetype
    from below b
    join pg_type t on t.oid = b.typbasetype
    where b.typtype = 'd'
  ),
  base as materialized (
    select b.type,
      -- A type modifier of -1, so that a cast does not cut bpchar and bit to one character.
      format_type(b.type, -1) as declared,
      format_type(t.oid, -1) as base_type,
      t.typcategory as category,
      (select d.typispreferred from pg_type d where d.oid = b.type) as preferred,
      case when t.typcategory = 'A' then format_type(t.typelem, -1) end as element,
      t.typtype = 'p' as polymorphic,
      (
        select format('%I.%I', cn.nspname, c.relname)
        from pg_class c
        join pg_namespace cn on cn.oid = c.relnamespace
        where c.oid = t.typrelid
      ) as relation,
      case
        when t.typtype = 'p' then 'polymorphic'
        when t.oid in ('json'::regtype, 'jsonb'::regtype) then 'json'
        when t.oid = 'money'::regtype then 'money'
        when t.oid = 'bytea'::regtype then 'bytea'
        when t.typname = 'hstore' and t.typtype = 'b' then 'hstore'
        when t.typcategory = 'A' and (
          -- The element type, or its base type if it is a domain.
          'json'::regtype in (e.oid, e.typbasetype) or 'jsonb'::regtype in (e.oid, e.typbasetype)
        ) then 'json[]'
        when t.typcategory = 'A' and 'money'::regtype in (e.oid, e.typbasetype) then 'money[]'
        when t.typcategory = 'A' and e.typname = 'hstore' and e.typtype = 'b' then 'hstore[]'
        when t.typcategory = 'A' and e.typcategory = 'A' and e.typtype = 'd' then 'array[]'
        when t.typtype = 'c' or t.typcategory = 'A' then 'structured'
        else 'scalar'
      end as kind
    from below b
    join pg_type t on t.oid = b.base
    left join pg_type e on e.oid = t.typelem
    where b.typtype <> 'd'
  ),
  parameters as materialized (
    select p.function,
      coalesce(bool_or(b.polymorphic) filter (where p.mode <> 'o'), false) as polymorphic,
      json_agg(
        json_build_object(
          'name', p.name, 'type', b.declared, 'category', b.category,
          'preferred', b.preferred, 'kind', b.kind, 'element', b.element,
          'default', p.default
        ) order by p.position
      ) filter (where p.mode <> 'o') as ins,
      json_agg(
        json_build_object(
          'type', case when not b.polymorphic then b.base_type end,
          'place', case when p.mode = 'o' then p.place end
        ) order by p.position
      ) filter (where p.mode in ('o', 'b')) as outs
    from (
      select p.*, count(*) filter (where p.mode <> 'o') over (
        partition by p.function order by p.position rows unbounded preceding
      ) as place
      from parameter p
    ) as p
    join base b on b.type = p.type
    group by p.function
  ),
  -- All types that arguments lead to: of a domain, an array, or a composite type.
  part as (
    select function, type from parameter where mode <> 'o'
    union
    select part.function, inside.type
    from part
    join pg_type t on t.oid = part.type
    cross join lateral ${TYPES_INSIDE} as inside (type)
  ),
  shape as materialized (
    select part.function, json_object_agg(
      format_type(t.oid, -1),
      case
        when t.typtype = 'c' then json_build_object('kind', 'composite', 'attributes', (
          select coalesce(
            json_object_agg(a.attname, format_type(a.atttypid, -1) order by a.attnum), '{}'
          )
          from pg_attribute a
          where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
        ))
        when t.typname = 'hstore' and t.typtype = 'b' then json_build_object('kind', 'hstore')
        when t.oid = 'bytea'::regtype then json_build_object('kind', 'bytea')
        else json_build_object(
          'kind', case t.typtype when 'd' then 'domain' else 'array' end,
          'of', format_type(case t.typtype when 'd' then t.typbasetype else t.typelem end, -1)
        )
      end
      order by format_type(t.oid, -1) collate "C"
    ) as types
    from part
    join pg_type t on t.oid = part.type
    where t.typtype in ('c', 'd') or (t.typtype = 'b' and t.typcategory = 'A')
      or (t.typname = 'hstore' and t.typtype = 'b') or t.oid = 'bytea'::regtype
    group by part.function
  ),
  signature as materialized (
    select c.oid as function, json_build_object(
      'kind', case c.prokind when 'p' then 'procedure' else 'function' end,
      'schema', c.nspname,
      'name', c.proname,
      'language', c.lanname,
      'volatility',
        case c.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end,
      'settings', c.proconfig,
      'arguments', coalesce(p.ins, '[]'),
      'defaults', c.pronargdefaults,
      'variadic', c.provariadic <> 0,
      'types', coalesce(s.types, '{}'),
      'isPolymorphic', coalesce(p.polymorphic, false),
      'returnsVoid', c.prorettype = 'void'::regtype,
      'isOpenRecord', case c.prokind
        when 'p' then coalesce('record'::regtype = any (c.proallargtypes), false)
        else c.prorettype = 'record'::regtype
          and (c.proargmodes is null or not c.proargmodes && '{o,b,t}')
      end,
      'outputs', case when c.prokind = 'p' then coalesce(p.outs, '[]') else '[]' end,
      'relation', b.relation,
      'identity', format('%I.%I(%s)', c.nspname, c.proname, oidvectortypes(c.proargtypes))
    ) as signature
    from candidate c
    left join parameters p on p.function = c.oid
    left join base b on b.type = c.prorettype
    left join shape s on s.function = c.oid
  )
`
