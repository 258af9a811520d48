import type { ObjectClass } from './object.ts'

/** Gives the columns of the UNION their types. */
const NOTHING = `
  select
    null::text, null::oid, null::text, null::text, null::oid[], null::oid, null::text, null::text,
    null::text[], null::text, null::text, null::text
  where false
`

/**
 * SQL for the names of a class as an array. With an array, PostgreSQL finds the few names by index
 * in catalogs with thousands of rows.
 */
const names = (of: ObjectClass, condition = 'true') =>
  `any (array(select a.name::name from asked a where a.class = '${of}' and ${condition}))`

const WHOLE_ROUTINES = names('routine', 'a.whole')

/**
 * SQL queries over the CTE `asked (class, name, whole)`: one row per object, in any schema except
 * PostgreSQL's own.
 */
const ROUTINES = `
  select
    case p.prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end as kind,
    p.oid, n.nspname::text as schema, p.proname::text as name, p.proargtypes::oid[] as types,
    null::oid as relation, format('%I.%I', n.nspname, p.proname) as label,
    case when p.proname = ${WHOLE_ROUTINES} then md5(concat_ws(
      E'\\x01', p.prosrc, p.probin, pg_get_function_sqlbody(p.oid), l.lanname,
      pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), p.provolatile, p.proisstrict,
      p.prosecdef, p.proleakproof, p.proparallel, p.procost, p.prorows, p.prokind,
      (
        select concat_ws(
          ' ', a.aggtransfn::text, a.aggfinalfn::text, a.aggcombinefn::text,
          format_type(a.aggtranstype, null), a.agginitval
        )
        from pg_aggregate a where a.aggfnoid = p.oid
      )
    )) end as digest,
    p.proconfig as settings,
    case when p.prokind <> 'a' and l.lanvalidator <> 0 then l.lanvalidator::regproc::text end
      as validator,
    case when p.prokind <> 'a' and p.proname = ${WHOLE_ROUTINES} then p.prosrc end as body,
    p.xmin::text as version
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
  join pg_language l on l.oid = p.prolang
  where p.proname = ${names('routine')}
    and n.nspname not in ('pg_catalog', 'information_schema')
`

const RELATIONS = `
  select
    case c.relkind when 'v' then 'view' when 'm' then 'materialized view' else 'index' end, c.oid,
    n.nspname, c.relname, '{}'::oid[], i.indrelid, format('%I.%I', n.nspname, c.relname),
    md5(case when i.indexrelid is null then pg_get_viewdef(c.oid) else pg_get_indexdef(c.oid) end),
    c.reloptions, null, null,
    -- xmin of pg_class changes with REFRESH and REINDEX.
    coalesce(
      (select string_agg(r.xmin::text, ' ') from pg_rewrite r where r.ev_class = c.oid), i.xmin::text
    )
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  left join pg_index i on i.indexrelid = c.oid
  where c.relname = ${names('relation')}
    and c.relkind in ('v', 'm', 'i', 'I')
    and n.nspname not in ('pg_catalog', 'information_schema')
`

const TYPES = `
  select
    'type', t.oid, n.nspname, t.typname, '{}'::oid[], null,
    format('%I.%I', n.nspname, t.typname), null, null, null, null, t.xmin::text
  from pg_type t
  join pg_namespace n on n.oid = t.typnamespace
  left join pg_class c on c.oid = t.typrelid
  where t.typname = ${names('type')}
    and (t.typrelid = 0 or c.relkind = 'c')
    and n.nspname not in ('pg_catalog', 'information_schema')
`

const TRIGGERS = `
  select
    'trigger', t.oid, n.nspname, t.tgname, '{}'::oid[], t.tgrelid,
    format('%I on %I.%I', t.tgname, n.nspname, c.relname),
    md5(pg_get_triggerdef(t.oid)), null, null, null, t.xmin::text
  from pg_trigger t
  join pg_class c on c.oid = t.tgrelid
  join pg_namespace n on n.oid = c.relnamespace
  where t.tgname = ${names('trigger')}
    and not t.tgisinternal and t.tgparentid = 0
`

const POLICIES = `
  select
    'policy', p.oid, n.nspname, p.polname, '{}'::oid[], p.polrelid,
    format('%I on %I.%I', p.polname, n.nspname, c.relname),
    md5(concat_ws(
      E'\\x01', p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid),
      pg_get_expr(p.polwithcheck, p.polrelid),
      (
        select string_agg(coalesce(r.rolname, 'public'), ',' order by r.rolname)
        from unnest(p.polroles) role (oid) left join pg_roles r on r.oid = role.oid
      )
    )), null, null, null, p.xmin::text
  from pg_policy p
  join pg_class c on c.oid = p.polrelid
  join pg_namespace n on n.oid = c.relnamespace
  where p.polname = ${names('policy')}
`

const RULES = `
  select
    'rule', r.oid, n.nspname, r.rulename, '{}'::oid[], r.ev_class,
    format('%I on %I.%I', r.rulename, n.nspname, c.relname),
    md5(pg_get_ruledef(r.oid)), null, null, null, r.xmin::text
  from pg_rewrite r
  join pg_class c on c.oid = r.ev_class
  join pg_namespace n on n.oid = c.relnamespace
  where r.rulename = ${names('rule')}
    and r.rulename <> '_RETURN'
`

const CASTS = `
  select
    'cast', k.oid, '', '', array[k.castsource, k.casttarget], null, '',
    md5(concat_ws(' ', k.castcontext, k.castmethod, k.castfunc::regproc::text)), null, null, null,
    k.xmin::text
  from pg_cast k
  where k.oid >= 16384 and exists (select from asked a where a.class = 'cast')
`

const OPERATORS = `
  select
    'operator', o.oid, n.nspname, o.oprname, array[o.oprleft, o.oprright], null,
    format('%I.%s', n.nspname, o.oprname), md5(o.oprcode::text), null, null, null,
    o.xmin::text
  from pg_operator o
  join pg_namespace n on n.oid = o.oprnamespace
  where o.oprname = ${names('operator')} and o.oid >= 16384
`

const BY_CLASS: Record<ObjectClass, string> = {
  routine: ROUTINES,
  relation: RELATIONS,
  type: TYPES,
  trigger: TRIGGERS,
  policy: POLICIES,
  rule: RULES,
  cast: CASTS,
  operator: OPERATORS,
}

/**
 * Returns the SQL query for all objects with the given names. Its single row has `objects` and, for
 * all types that they use, `types` as `[oid, name, old name]`. Type names have their schema
 * whatever the search_path, except PostgreSQL's own types. Digest and body of a routine are null
 * unless `whole` is true.
 * @param asked SQL literal of a JSON array of `{class, name, whole}`
 * @param classes all classes that occur in `asked`
 */
export function foundSql(asked: string, classes: ReadonlySet<ObjectClass>): string {
  // Queries of other catalogs are left out to save planning time.
  const arms = Object.entries(BY_CLASS).filter(([name]) => classes.has(name as ObjectClass))
  return `
    with asked as materialized (
      select class, name, coalesce(whole, false) as whole
      from json_to_recordset(${asked}::json) as a (class text, name text, whole boolean)
    ),
    found (
      kind, oid, schema, name, types, relation, label, digest, settings, validator, body, version
    ) as materialized (
      ${[NOTHING, ...arms.map(([, text]) => text)].join(' union all ')}
    )
    select
      (
        select coalesce(json_agg(json_build_object(
          'kind', f.kind, 'oid', f.oid::text, 'schema', f.schema, 'name', f.name,
          'types', array_to_string(f.types, ' '), 'relation', f.relation::text, 'label', f.label,
          'digest', f.digest, 'settings', coalesce(f.settings, '{}'), 'validator', f.validator,
          'body', f.body, 'version', f.version
        )), '[]')
        from found f
      ) as objects,
      (
        select coalesce(json_agg(json_build_array(
          t.oid::text,
          case when n.nspname = 'pg_catalog' then format_type(t.oid, null)
            else format('%I.%I', n.nspname, coalesce(e.typname, t.typname))
              || case when e.oid is null then '' else '[]' end
          end,
          format_type(t.oid, null)
        )), '[]')
        from (select distinct unnest(f.types) from found f) as used (oid)
        join pg_type t on t.oid = used.oid
        join pg_namespace n on n.oid = t.typnamespace
        left join pg_type e on e.oid = t.typelem and e.typarray = t.oid
      ) as types
  `
}
