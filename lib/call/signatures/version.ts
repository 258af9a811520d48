import { FIRST_NORMAL_OID } from '../../postgres/oids.ts'

/** Rows of a catalog, `x`. A new version of a row has a new xmin. */
interface Source {
  from: string
  /** Column that identifies a row; default `x.oid`. */
  key?: string
  /** Schema or relation of a row. Rows of temporary ones are left out. */
  within?: string
  where?: string
}

const OWN = `x.oid >= ${FIRST_NORMAL_OID}`

const SOURCES: Source[] = [
  { from: 'pg_proc x', within: 'x.pronamespace', where: OWN },
  // Array types change with their element types.
  { from: 'pg_type x', within: 'x.typnamespace', where: `${OWN} and x.typelem = 0` },
  { from: 'pg_operator x', within: 'x.oprnamespace', where: OWN },
  { from: 'pg_cast x', where: OWN },
  { from: 'pg_amproc x', where: OWN },
  { from: 'pg_namespace x', within: 'x.oid', where: OWN },
  { from: 'pg_rewrite x', within: 'x.ev_class', where: OWN },
  // Only checks and foreign keys: of the others, pg_index shows all that runs.
  {
    from: 'pg_constraint x',
    within: 'x.connamespace',
    where: `${OWN} and (x.contype = 'c' or x.contype = 'f')`,
  },
  // Triggers of constraints change with the constraints.
  {
    from: 'pg_trigger x',
    within: 'x.tgrelid',
    where: 'not x.tgisinternal or x.tgparentid <> 0',
  },
  { from: 'pg_attrdef x', within: 'x.adrelid' },
  { from: 'pg_policy x' },
  { from: 'pg_statistic_ext x' },
  { from: 'pg_event_trigger x' },
  { from: 'pg_inherits x', key: 'x.inhrelid', within: 'x.inhrelid' },
  {
    from: 'pg_index x',
    key: 'x.indexrelid',
    within: 'x.indrelid',
    where: 'x.indexprs is not null or x.indpred is not null',
  },
  // Not the pg_class rows of tables, which VACUUM and others change.
  { from: 'relation x', within: 'x.relnamespace', where: "x.relkind = 'c'" },
  {
    from: 'relation c join pg_attribute x on x.attrelid = c.oid',
    key: 'x.attrelid',
    within: 'c.relnamespace',
    where: "c.relkind = 'c'",
  },
  // search_path decides which of several functions a call finds.
  {
    from: 'pg_db_role_setting x',
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
 * SQL for a text that changes whenever anything changes that affects what functions do, by hand
 * too. It has no parameters. It works with any search path, since all its names and operators are
 * qualified. A physical replica that has replayed the change returns the same text. It does not
 * cover the columns of tables and settings in postgresql.conf.
 */
export const SCHEMA_VERSION = qualified(`
  with relation as materialized (
    select c.oid, c.xmin as version, c.relkind, c.relnamespace from pg_class c
    where c.relkind = 'c' or c.relpersistence = 't'
  ),
  temporary as materialized (
    select n.oid from pg_namespace n
    where starts_with(n.nspname::text, 'pg_temp_') or starts_with(n.nspname::text, 'pg_toast_temp_')
    union all
    select r.oid from relation r where r.relkind <> 'c'
  )
  select coalesce(bit_xor(hash_record_extended(row(s.source, s.key, s.version), 0)), 0)::text
    as version
  from (${SOURCES.map(rowsOf).join(' union all ')}) as s (source, key, version, within)
  where not exists (select from temporary t where t.oid = s.within)
`)

function rowsOf({ from, key = 'x.oid', within = '0::oid', where }: Source, i: number): string {
  const version = from === 'relation x' ? 'x.version' : 'x.xmin'
  return `
    select ${i}, ${key}, ${version}, ${within} from ${from} ${where ? `where ${where}` : ''}
  `
}

/** Qualifies the names and operators of PostgreSQL. */
function qualified(sql: string): string {
  return sql
    .replace(/\b(pg_[a-z_]+)(?= [a-z]\b)/g, 'pg_catalog.$1')
    .replace(
      /\b(bit_xor|starts_with|hash_record_extended|current_database)(?=\()/g,
      'pg_catalog.$1',
    )
    .replace(/::(text|oid)\b/g, '::pg_catalog.$1')
    .replace(/ (>=|<>|=) /g, ' operator(pg_catalog.$1) ')
    .replace(/\s+/g, ' ')
    .trim()
}
