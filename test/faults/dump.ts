/**
 * Everything in a database that a deploy makes, as one JSON value that is the same for databases
 * that are the same: without oids, transaction ids and times, and whosever they are.
 */
export const DUMP = `
  with spaces as (
    select oid, nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'
  )
  select replace(json_build_object(
    'schemas', (select json_agg(array[nspname, nspacl::text] order by 1) from pg_namespace
      join spaces using (oid, nspname)),
    'extensions', (select json_agg(array[extname, extversion] order by 1) from pg_extension),
    'relations', (
      select json_agg(array[
          nspname, relname, relkind::text, relpersistence::text, relowner::regrole::text,
          relacl::text, reloptions::text, relhasindex::text, relhastriggers::text
        ] order by nspname, relname)
      from pg_class join spaces on spaces.oid = relnamespace
    ),
    'columns', (
      select json_agg(array[
          attrelid::regclass::text, attnum::text, attname, format_type(atttypid, atttypmod),
          attnotnull::text, attisdropped::text, attidentity::text, attgenerated::text,
          pg_get_expr(adbin, adrelid)
        ] order by attrelid::regclass::text, attnum)
      from pg_attribute
      join pg_class c on c.oid = attrelid
      join spaces on spaces.oid = c.relnamespace
      left join pg_attrdef on adrelid = attrelid and adnum = attnum
      where attnum > 0
    ),
    'constraints', (
      select json_agg(array[
          conrelid::regclass::text, conname, pg_get_constraintdef(c.oid), convalidated::text
        ] order by conrelid::regclass::text, conname)
      from pg_constraint c join spaces on spaces.oid = connamespace
    ),
    'indexes', (
      select json_agg(array[pg_get_indexdef(indexrelid), indisvalid::text, indisready::text]
        order by pg_get_indexdef(indexrelid))
      from pg_index join pg_class c on c.oid = indexrelid join spaces on spaces.oid = relnamespace
    ),
    'views', (
      select json_agg(array[c.oid::regclass::text, pg_get_viewdef(c.oid)] order by c.relname)
      from pg_class c join spaces on spaces.oid = relnamespace
      where relkind in ('v', 'm')
    ),
    'functions', (
      select json_agg(array[
          p.oid::regprocedure::text, pg_get_functiondef(p.oid), proowner::regrole::text,
          proacl::text
        ] order by p.oid::regprocedure::text)
      from pg_proc p join spaces on spaces.oid = pronamespace
      where prokind in ('f', 'p')
    ),
    'types', (
      select json_agg(array[
          t.oid::regtype::text, typtype::text, typowner::regrole::text
        ] order by t.oid::regtype::text)
      from pg_type t join spaces on spaces.oid = typnamespace
    ),
    'enums', (
      select json_agg(array[enumtypid::regtype::text, enumlabel]
        order by enumtypid::regtype::text, enumsortorder)
      from pg_enum
    ),
    'triggers', (
      select json_agg(pg_get_triggerdef(oid) order by pg_get_triggerdef(oid)) from pg_trigger
      where not tgisinternal
    )
  )::text, (
    select pg_get_userbyid(datdba) from pg_database where datname = current_database()
  ), 'platform')::json as dump
`

/** The tables whose contents belong to the dump. */
export const TABLES = `
  select relname::text as name from pg_class
  where relkind = 'r' and relnamespace = 'public'::regnamespace
  order by 1
`

/** What differs between databases that are the same. */
const VOLATILE = `'{
  id, applied_at, deployed_at, request_id, address, execution_time_ms, table_changes
}'::text[]`

/** A digest is of transaction ids: all that can be the same is that there is one. */
const HAS_DIGEST = `jsonb_build_object('catalog_digest', catalog_digest is not null)`

const SORTED_OBJECTS = `
  jsonb_build_object('objects', array(select o from jsonb_array_elements(objects) as o order by 1))
`

/** Reads the rows of these tables, as `name` and `rows`. */
export function contentsOf(tables: string[]): string {
  return tables
    .map((name) => {
      const isLedger = name.startsWith('_db_gateway_')
      const isOfFiles = name === '_db_gateway_files'
      const isOfDeployments = name === '_db_gateway_deployments'
      const row =
        (isLedger ? `to_jsonb(t) - ${VOLATILE}` : 'to_jsonb(t)') +
        (isOfFiles ? ` || ${SORTED_OBJECTS}` : '') +
        (isOfDeployments ? ` || ${HAS_DIGEST}` : '')
      // The state that a deploy leaves is of one database.
      const filter = isOfDeployments
        ? `where status = 'completed'`
        : isOfFiles
          ? `where section <> 'standing'`
          : ''
      return `
        select '${name}' as name, json_agg(${row} order by (${row})::text) as rows
        from ${name} as t ${filter}`
    })
    .join(' union all ')
}
