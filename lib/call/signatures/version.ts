import { FIRST_NORMAL_OID } from '../../postgres/oids.ts'

/**
 * Rows of a catalog (`catalog x`), with what tells them from each other. Those of temporary relations
 * are left out, since they come and go with what functions do.
 */
interface Source {
  catalog: string
  /** `x.oid` where it is left out. */
  key?: string
  /** Only rows that are not PostgreSQL's own: found by the index. */
  own?: boolean
  /** The relation that they belong to. */
  relation?: string
  /** The schema that they belong to. */
  namespace?: string
  where?: string
}

const SOURCES: Source[] = [
  { catalog: 'pg_proc', own: true, namespace: 'x.pronamespace' },
  { catalog: 'pg_type', own: true, namespace: 'x.typnamespace' },
  { catalog: 'pg_operator', own: true, namespace: 'x.oprnamespace' },
  { catalog: 'pg_cast', own: true },
  { catalog: 'pg_amproc', own: true },
  { catalog: 'pg_namespace', own: true, namespace: 'x.oid' },
  { catalog: 'pg_rewrite', own: true, relation: 'x.ev_class' },
  // PostgreSQL 18 has a constraint for each column that is NOT NULL, which runs nothing.
  {
    catalog: 'pg_constraint',
    own: true,
    relation: 'x.conrelid',
    namespace: 'x.connamespace',
    where: "x.contype <> 'n'",
  },
  { catalog: 'pg_trigger', relation: 'x.tgrelid' },
  { catalog: 'pg_attrdef', relation: 'x.adrelid' },
  { catalog: 'pg_policy' },
  { catalog: 'pg_statistic_ext' },
  { catalog: 'pg_event_trigger' },
  { catalog: 'pg_inherits', key: 'x.inhrelid', relation: 'x.inhrelid' },
  {
    catalog: 'pg_index',
    key: 'x.indexrelid',
    relation: 'x.indrelid',
    where: '(x.indexprs is not null or x.indpred is not null)',
  },
  // The attributes of composite types. VACUUM and the like write new versions of tables' rows.
  { catalog: 'pg_class', own: true, namespace: 'x.relnamespace', where: "x.relkind = 'c'" },
  {
    catalog: 'pg_attribute',
    key: 'x.attrelid, x.attnum',
    relation: 'x.attrelid',
    where: `exists (
      select from pg_class c
      where c.oid = x.attrelid and c.oid >= ${FIRST_NORMAL_OID} and c.relkind = 'c'
    )`,
  },
  // search_path decides which of two functions a call finds.
  {
    catalog: 'pg_db_role_setting',
    key: 'x.setrole',
    where: `
      (x.setdatabase = 0 or x.setdatabase = (
        select d.oid from pg_database d where d.datname = current_database()
      ))
      and (x.setrole = 0 or x.setrole = (
        select r.oid from pg_roles r where r.rolname = session_user
      ))`,
  },
]

/**
 * SQL for a text that is another one when anything has changed by hand that decides what functions
 * do: each version of a row has its own xmin. Has no parameters. Holds for any search path, which is
 * why every name in it is qualified, operators too. A physical replica that has replayed the change
 * gives the same. Left out: names of a table's columns, and settings in postgresql.conf.
 */
export const SCHEMA_VERSION = qualified(`
  with temporary_schema as materialized (
    select n.oid from pg_namespace n
    where starts_with(n.nspname::text, 'pg_temp') or starts_with(n.nspname::text, 'pg_toast_temp')
  ),
  temporary as materialized (
    select c.oid from pg_class c
    where c.relpersistence = 't' or (c.relkind = 'c' and exists (
      select from temporary_schema t where t.oid = c.relnamespace
    ))
  )
  select coalesce(bit_xor(rows.hash), 0)::text as version
  from (${SOURCES.map(rowsOf).join(' union all ')}) as rows (hash)
`)

function rowsOf({ catalog, key = 'x.oid', own, relation, namespace, where }: Source): string {
  const conditions = [
    own && `x.oid >= ${FIRST_NORMAL_OID}`,
    relation && `not exists (select from temporary t where t.oid = ${relation})`,
    namespace && `not exists (select from temporary_schema t where t.oid = ${namespace})`,
    where,
  ].filter(Boolean)
  return `
    select bit_xor(hash_record_extended(row(${key}, x.xmin), ${hashSeed(catalog)}))
    from ${catalog} x ${conditions.length > 0 ? `where ${conditions.join(' and ')}` : ''}
  `
}

/** Rows of two catalogs may have the same oid and xmin. */
function hashSeed(catalog: string): number {
  return SOURCES.findIndex((source) => source.catalog === catalog) + 1
}

/** The names and operators of PostgreSQL, qualified. */
function qualified(sql: string): string {
  return sql
    .replace(/\b(pg_[a-z_]+)(?= [a-z]\b)/g, 'pg_catalog.$1')
    .replace(
      /\b(bit_xor|starts_with|hash_record_extended|current_database)(?=\()/g,
      'pg_catalog.$1',
    )
    .replace(/::text\b/g, '::pg_catalog.text')
    .replace(/ (>=|<>|=) /g, ' operator(pg_catalog.$1) ')
    .replace(/\s+/g, ' ')
    .trim()
}
