import type { Droppable } from '../parser/risks.ts'

/**
 * SQL of the CTE `root (classid, objid, objsubid)`: the objects that DROP names, in the terms of
 * pg_depend. $1 is a JSON array of texts; $2 is whether the drop cascades. For `owned` (DROP
 * OWNED), $1 has role names, and $2 is whether current_user and session_user are among the roles.
 */
export const DROP_ROOTS: Record<Droppable | 'column' | 'owned', string> = {
  relation: rootsNamed('pg_class', 'to_regclass(name)::oid'),
  type: rootsNamed('pg_type', 'to_regtype(name)::oid'),
  schema: rootsNamed('pg_namespace', 'n.oid', 'join pg_namespace n on n.nspname = name'),
  extension: rootsNamed('pg_extension', 'e.oid', 'join pg_extension e on e.extname = name'),
  routine: `
    root (classid, objid, objsubid) as (
      select 'pg_proc'::regclass::oid, p.oid, 0
      from json_array_elements_text($1::text::json) as text
      cross join lateral (
        select text::json ->> 'schema' as schema, text::json ->> 'name' as name,
          text::json -> 'args' as args
      ) as named
      join pg_proc p on p.proname = named.name
        and case
          when named.schema is null then pg_function_is_visible(p.oid)
          else p.pronamespace = (select oid from pg_namespace where nspname = named.schema)
        end
        and (
          json_typeof(named.args) = 'null'
          or p.proargtypes::text = coalesce((
            select string_agg(coalesce(to_regtype(type)::oid, 0)::text, ' ' order by position)
            from json_array_elements_text(
              case json_typeof(named.args) when 'array' then named.args end
            ) with ordinality as arg (type, position)
          ), '')
        )
    ), is_cascade (yes) as (select $2::boolean)
  `,
  column: `
    root (classid, objid, objsubid) as (
      select 'pg_class'::regclass::oid, attrelid, attnum::integer
      from pg_attribute
      where attrelid = to_regclass($1::text::json ->> 0)
        and attname = $1::text::json ->> 1
        and not attisdropped
    ), is_cascade (yes) as (select $2::boolean)
  `,
  owned: `
    of_role (oid) as (
      select oid from pg_roles
      where rolname in (select json_array_elements_text($1::text::json))
        or $2::boolean and rolname in (current_user, session_user)
    ),
    root (classid, objid, objsubid) as (
      select 'pg_class'::regclass::oid, c.oid, 0
      from pg_class c join of_role on of_role.oid = c.relowner
      where c.relkind in ('r', 'p', 'S', 'm')
      union all
      select 'pg_namespace'::regclass::oid, n.oid, 0
      from pg_namespace n join of_role on of_role.oid = n.nspowner
      union all
      select 'pg_type'::regclass::oid, t.oid, 0
      from pg_type t join of_role on of_role.oid = t.typowner
    ), is_cascade (yes) as (select true)
  `,
}

/**
 * SQL that follows DROP_ROOTS: all objects that the drop removes (PostgreSQL manual, "pg_depend").
 * Normal dependents go with CASCADE only. An internal part takes its whole along: dropping a view's
 * rule drops the view. A sequence owned by a column counts as part of the column unless DROP names
 * the sequence itself.
 */
export const DROP_CLOSURE = `
  , dropped (classid, objid, objsubid) as (
    select * from root where objid is not null
    union
    select next.classid, next.objid, next.objsubid
    from dropped
    cross join is_cascade
    cross join lateral (
      select d.classid, d.objid, d.objsubid
      from pg_depend d
      where d.refclassid = dropped.classid and d.refobjid = dropped.objid
        and (dropped.objsubid = 0 or d.refobjsubid = dropped.objsubid)
        and (d.deptype in ('a', 'i', 'e', 'P', 'S') or d.deptype = 'n' and is_cascade.yes)
      union all
      select d.refclassid, d.refobjid, d.refobjsubid
      from pg_depend d
      where d.classid = dropped.classid and d.objid = dropped.objid
        and d.objsubid = dropped.objsubid and d.deptype = 'i'
    ) as next
  ),
  gone (oid, number) as (
    select part.objid, part.objsubid
    from dropped part
    where part.classid = 'pg_class'::regclass
      and not exists (
        select from dropped whole
        where whole.classid = part.classid and whole.objid = part.objid
          and whole.objsubid = 0 and part.objsubid > 0
      )
      and (
        exists (select from root where root.classid = part.classid and root.objid = part.objid)
        or not exists (
          select from pg_depend d
          join pg_class s on s.oid = d.objid and s.relkind = 'S'
          where d.classid = part.classid and d.objid = part.objid and d.deptype in ('a', 'i')
            and d.refclassid = part.classid and d.refobjsubid > 0
        )
      )
  )
`

/**
 * SQL: the relation that DELETE names ($1). For a view, `base` lists the relations that it reads;
 * PostgreSQL locks them together with the view.
 */
export const DELETED = `
  gone (oid, number) as (select to_regclass($1)::oid, 0),
  base (oid) as (
    select oid from gone
    union
    select d.refobjid
    from base
    join pg_class v on v.oid = base.oid and v.relkind = 'v'
    join pg_rewrite r on r.ev_class = base.oid
    join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
      and d.refclassid = 'pg_class'::regclass
  )
`

/** SQL: the tables that TRUNCATE empties; with CASCADE ($2), those that reference them as well. */
export const TRUNCATED = `
  emptied (oid) as (
    select to_regclass(name)::oid
    from json_array_elements_text($1::text::json) as name
    where to_regclass(name) is not null
    union
    select conrelid from emptied
    join pg_constraint on confrelid = emptied.oid and contype = 'f' and $2::boolean
  ),
  gone (oid, number) as (select oid, 0 from emptied)
`

/**
 * SQL: the columns that store values of a composite type ($1), directly or within arrays, domains,
 * ranges and other composite types; and, in typed tables (CREATE TABLE … OF), the column of
 * attribute $2.
 */
export const STORING_ATTRIBUTE = `
  storing (oid) as (
    select to_regtype($1)::oid
    union
    select next.oid
    from storing
    cross join lateral (
      select typarray from pg_type where oid = storing.oid and typarray <> 0
      union all
      select oid from pg_type where typbasetype = storing.oid
      union all
      select rngtypid from pg_range where rngsubtype = storing.oid
      union all
      select c.reltype
      from pg_attribute a
      join pg_class c on c.oid = a.attrelid and c.relkind in ('c', 'r', 'p')
      where a.atttypid = storing.oid and not a.attisdropped
    ) as next (oid)
  ),
  gone (oid, number) as (
    select a.attrelid, a.attnum::integer
    from pg_attribute a
    join storing on storing.oid = a.atttypid
    where a.attnum > 0 and not a.attisdropped
    union
    select a.attrelid, a.attnum::integer
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attname = $2 and not a.attisdropped
    where c.reloftype = to_regtype($1)
  )
`

/** SQL: the rows of a catalog that have the names in $1; `oid` may be NULL for an unknown name. */
function rootsNamed(catalog: string, oid: string, join = ''): string {
  return `
    root (classid, objid, objsubid) as (
      select '${catalog}'::regclass::oid, ${oid}, 0
      from json_array_elements_text($1::text::json) as name
      ${join}
    ), is_cascade (yes) as (select $2::boolean)
  `
}
