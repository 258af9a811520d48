import { FIRST_NORMAL_OID } from '../../postgres/oids.ts'
import { SIGNATURES, TYPES_KEY } from './signatures-sql.ts'

/** SQL condition on a pg_namespace: it is not a schema of temporary objects. */
const IS_PERMANENT = (namespace: string) => `${namespace}.nspname !~ '^pg_(toast_)?temp_'`

/** SQL for a JSON array whose order is the same in all databases. */
const agg = (value: string, order: string) => `coalesce(json_agg(${value} order by ${order}), '[]')`

/**
 * SQL for a JSON array of the texts that a query returns, in an order that is the same in all
 * databases.
 */
const texts = (query: string) =>
  `(select ${agg('x.text', 'x.text collate "C"')} from (${query}) as x (text) where x.text is not null)`

const FUNCTIONS = `
  select ${agg('f.facts', 'f.nspname collate "C", f.proname collate "C", f.types collate "C"')}
  from (
    select n.nspname, p.proname, k.types, json_build_object(
      'name', p.proname,
      'schema', n.nspname,
      'types', k.types,
      'kind', case p.prokind
        when 'f' then 'function' when 'p' then 'procedure' when 'a' then 'aggregate' else 'window'
      end,
      'language', l.lanname,
      'volatility', p.provolatile,
      'isBuiltin', p.oid < ${FIRST_NORMAL_OID},
      'definition', case
        when l.lanname in ('sql', 'plpgsql') and p.prokind <> 'a' and p.oid >= ${FIRST_NORMAL_OID}
        then pg_get_functiondef(p.oid)
      end,
      'settings', p.proconfig,
      'parts', case when p.prokind = 'a' then ${texts(`
        select f.proname
        from pg_aggregate a
        cross join unnest(array[
          a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn,
          a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn
        ]::oid[]) as part
        join pg_proc f on f.oid = part
        where a.aggfnoid = p.oid
      `)} end,
      -- "x.name" may call any function of one argument: x may be a row, the result of a cast of
      -- a row, or a value of another type, such as the alias of a function in FROM.
      'isAttribute', p.pronargs > 0 and p.pronargs - p.pronargdefaults <= 1,
      'signature', s.signature
    ) as facts
    from (
      -- Filters first: PostgreSQL would look up the types of its thousands of built-in functions.
      select p.* from pg_proc p
      where p.oid >= ${FIRST_NORMAL_OID} or p.oid in (select function from signature)
      offset 0
    ) as p
    join pg_namespace n on n.oid = p.pronamespace
    join pg_language l on l.oid = p.prolang
    cross join lateral ${TYPES_KEY} as k (types)
    left join signature s on s.function = p.oid
    where s.function is not null or (p.oid >= ${FIRST_NORMAL_OID} and ${IS_PERMANENT('n')})
  ) as f
`

/**
 * SQL for the expressions, queries, triggers and rules that run when a relation is read or written;
 * `c` is its pg_class row.
 */
const RELATIONS = `
  select ${agg('r.facts', 'r.nspname collate "C", r.relname collate "C"')}
  from (
    select n.nspname, c.relname, json_build_object(
      'name', c.relname,
      'schema', n.nspname,
      'kind', c.relkind,
      'query', case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end,
      'expressions', case when c.relkind in ('v', 'f') and not c.relrowsecurity and c.relchecks = 0
        then '[]'
        else ${texts(`
          select unnest(array[pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)])
          from pg_policy
          where polrelid = c.oid
          union all
          select pg_get_expr(conbin, conrelid)
          from pg_constraint
          where conrelid = c.oid and contype = 'c'
          union all
          select unnest(array[pg_get_expr(indexprs, indrelid), pg_get_expr(indpred, indrelid)])
          from pg_index
          where indrelid = c.oid and (indexprs is not null or indpred is not null)
          union all
          select pg_get_expr(partexprs, partrelid)
          from pg_partitioned_table
          where partrelid = c.oid
          union all
          select pg_get_expr(stxexprs, stxrelid)
          from pg_statistic_ext
          where stxrelid = c.oid
          union all
          -- Virtual generated columns, since PostgreSQL 18.
          select pg_get_expr(d.adbin, d.adrelid)
          from pg_attrdef d
          join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
          where d.adrelid = c.oid and a.attgenerated <> ''
        `)}
      end,
      'defaults', ${texts(`
        select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = c.oid
      `)},
      'triggers', case when c.relhastriggers then ${texts(`
        select pg_get_triggerdef(oid)
        from pg_trigger
        where tgrelid = c.oid and (not tgisinternal or tgparentid <> 0)
      `)} else '[]' end,
      'rules', case when c.relhasrules then ${texts(`
        select pg_get_ruledef(oid)
        from pg_rewrite
        where ev_class = c.oid and rulename <> '_RETURN'
      `)} else '[]' end,
      'dependents', ${texts(`
        select d.relname
        from pg_inherits i
        join pg_class d on d.oid = i.inhrelid
        where i.inhparent = c.oid and d.relkind not in ('i', 'I')
        union
        select d.relname
        from pg_constraint k
        join pg_class d on d.oid = k.conrelid
        where k.confrelid = c.oid and not (k.confdeltype in ('a', 'r') and k.confupdtype in ('a', 'r'))
      `)},
      'references', ${texts(`
        select d.relname
        from pg_constraint k
        join pg_class d on d.oid = k.conrelid
        where k.confrelid = c.oid and k.contype = 'f'
      `)}
    ) as facts
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.oid >= ${FIRST_NORMAL_OID} and c.relkind in ('r', 'v', 'm', 'p', 'f')
      and ${IS_PERMANENT('n')}
  ) as r
`

const HIDDEN_FUNCTIONS = texts(`
  select distinct p.proname
  from pg_proc p
  where p.oid in (
    select oprcode from pg_operator where oid >= ${FIRST_NORMAL_OID}
    union all
    select castfunc from pg_cast where oid >= ${FIRST_NORMAL_OID}
    union all
    select unnest(array[rngcanonical, rngsubdiff]) from pg_range where rngtypid >= ${FIRST_NORMAL_OID}
    union all
    select amproc from pg_amproc where oid >= ${FIRST_NORMAL_OID}
    union all
    select unnest(array[typinput, typoutput, typreceive, typsend, typmodin, typmodout, typsubscript])
    from pg_type
    where oid >= ${FIRST_NORMAL_OID}
    union all
    select conproc from pg_conversion where oid >= ${FIRST_NORMAL_OID}
  ) and (
    p.oid >= ${FIRST_NORMAL_OID} or p.provolatile = 'v'
    or p.proname in ('current_setting', 'pg_show_all_settings')
  )
`)

const HIDDEN_EXPRESSIONS = texts(`
  select pg_get_expr(c.conbin, 0)
  from pg_constraint c
  join pg_namespace n on n.oid = c.connamespace
  where c.contypid <> 0 and c.conbin is not null and c.oid >= ${FIRST_NORMAL_OID}
    and ${IS_PERMANENT('n')}
  union all
  select pg_get_expr(t.typdefaultbin, 0)
  from pg_type t
  join pg_namespace n on n.oid = t.typnamespace
  where t.typdefaultbin is not null and t.oid >= ${FIRST_NORMAL_OID} and ${IS_PERMANENT('n')}
`)

/**
 * Settings of the session that reads facts, so that PostgreSQL writes expressions alike in all
 * databases.
 */
export const CANONICAL_SETTINGS = `
  select pg_catalog.set_config(name, value, true)
  from (values
    ('search_path', 'pg_catalog'), ('TimeZone', 'UTC'), ('DateStyle', 'ISO, YMD'),
    ('IntervalStyle', 'postgres'), ('bytea_output', 'hex'), ('extra_float_digits', '1'),
    ('lc_monetary', 'C'), ('quote_all_identifiers', 'off'), ('xmloption', 'content'),
    -- The planner's estimates for catalogs are far too high: JIT would take longer than it saves.
    ('jit', 'off')
  ) as canonical (name, value)
`

/**
 * SQL for the whole of `SchemaFacts` as one JSON text, and its digest. `$1`: the schemas in which
 * /call looks; `$2`: whether CALLABLE_SCHEMAS names them; `$3`: known digests, whose facts are not
 * returned; `$4`: prefix of the hashed text, the format and the options of the read.
 */
export const FACTS = `
  with recursive ${SIGNATURES},
  facts as materialized (
    select json_build_object(
      'functions', (${FUNCTIONS}),
      'relations', (${RELATIONS}),
      'hiddenFunctions', ${HIDDEN_FUNCTIONS},
      'hiddenExpressions', ${HIDDEN_EXPRESSIONS},
      'eventTriggers', ${texts(`
        select distinct p.proname from pg_event_trigger e join pg_proc p on p.oid = e.evtfoid
      `)},
      'volatileBuiltins', ${texts(`
        select distinct proname
        from pg_proc
        where oid < ${FIRST_NORMAL_OID} and provolatile = 'v'
          -- No statement can call functions with internal arguments, such as one called "system".
          and 'internal'::regtype <> all (proargtypes)
      `)},
      'hasOddStrings', current_setting('standard_conforming_strings') <> 'on'
    )::text as text
  ),
  digested as (
    select text, encode(sha256(convert_to($4::text || text, 'UTF8')), 'hex') as digest
    from facts
  )
  select digest, case when digest <> all (string_to_array($3::text, ',')) then text end as facts
  from digested
`
