import { FIRST_NORMAL_OID } from '../../postgres/oids.ts'

const OWN = `x.oid >= ${FIRST_NORMAL_OID}`

/**
 * The catalogs of what a deploy replaces; of what is about a relation, that relation. Of what it makes
 * where it is not there, rows are known by their oid.
 */
const SOURCES: { from: string; relation?: string; schema?: string; isThereOnly?: boolean }[] = [
  { from: `pg_catalog.pg_proc x where ${OWN}`, schema: 'x.pronamespace' },
  // A view is known by its rule: its own row changes with each refresh.
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
 * An SQL expression, in brackets, for a text that is another one when a function, a view, a trigger,
 * a policy, a cast or an operator has been made, changed or dropped, or a table or a type been made or
 * dropped, whoever did it. Has no
 * parameters, and holds for any search path. What is temporary does not count, nor what is the
 * gateway's own. Rows are known by their xmin, so that nothing is read but a few columns.
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
