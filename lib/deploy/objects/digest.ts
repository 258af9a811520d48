import { FIRST_NORMAL_OID } from '../../postgres/oids.ts'

const OWN = `x.oid >= ${FIRST_NORMAL_OID}`

/**
 * Catalogs of the objects that a deploy replaces or creates. `relation`: oid of the table or view
 * that the object belongs to. `isThereOnly`: the digest covers only whether the object exists (by
 * its oid), because a deploy creates it only if it is missing.
 */
const SOURCES: { from: string; relation?: string; schema?: string; isThereOnly?: boolean }[] = [
  { from: `pg_catalog.pg_proc x where ${OWN}`, schema: 'x.pronamespace' },
  // A view is represented by its rule: the row in pg_class changes with each REFRESH.
  { from: `pg_catalog.pg_rewrite x where ${OWN}`, relation: 'x.ev_class' },
  { from: 'pg_catalog.pg_trigger x where not x.tgisinternal', relation: 'x.tgrelid' },
  { from: 'pg_catalog.pg_policy x', relation: 'x.polrelid' },
  { from: `pg_catalog.pg_cast x where ${OWN}` },
  { from: `pg_catalog.pg_operator x where ${OWN}`, schema: 'x.oprnamespace' },
  {
    from: `pg_catalog.pg_class x where ${OWN}
      and (x.relkind = any ('{r,p,f}'::pg_catalog."char"[])) and not x.relispartition
      and not pg_catalog.starts_with(x.relname::pg_catalog.text, '_db_gateway_')`,
    schema: 'x.relnamespace',
    isThereOnly: true,
  },
  {
    from: `pg_catalog.pg_type x where ${OWN} and ((x.typtype = any ('{e,d,r}'::pg_catalog."char"[]))
      or exists (
        select from pg_catalog.pg_class c
        where c.oid = x.typrelid and c.relkind = 'c'
      ))`,
    schema: 'x.typnamespace',
    isThereOnly: true,
  },
]

/**
 * SQL expression, in parentheses, for a text that changes whenever a function, view, trigger,
 * policy, cast or operator is created, changed or dropped, or a table or type is created or
 * dropped, by the gateway or by hand. It has no parameters and works with any search_path.
 * Temporary objects and the gateway's own do not count. Rows are identified by xmin, so that few
 * columns are read.
 */
export const CATALOG_DIGEST = `(
  select coalesce(
    pg_catalog.bit_xor(pg_catalog.hash_record_extended(row(s.source, s.oid, s.version), 0)), 0
  )::pg_catalog.text
  from (
    ${SOURCES.map(rowsOf).join(' union all ')}
  ) as s (source, oid, version, schema)
  where not exists (
    select from pg_catalog.pg_namespace n
    where n.oid operator(pg_catalog.=) s.schema and (
      pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_temp_')
      or n.nspname operator(pg_catalog.=) '_db_gateway'
    )
  )
)`

function rowsOf(
  { from, relation, schema, isThereOnly }: (typeof SOURCES)[number],
  i: number,
): string {
  const home = relation
    ? `(select c.relnamespace from pg_catalog.pg_class c where c.oid operator(pg_catalog.=) ${relation})`
    : (schema ?? '0::pg_catalog.oid')
  const text = from.replace(/ (>=|=) /g, ' operator(pg_catalog.$1) ')
  const version = isThereOnly ? "'0'::pg_catalog.xid" : 'x.xmin'
  return `select ${i}, x.oid, ${version}, ${home} from ${text}`
}
