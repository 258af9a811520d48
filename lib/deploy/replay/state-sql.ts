import { FIRST_NORMAL_OID } from '../../postgres/oids.ts'
import { SESSION_SETTINGS } from '../../postgres/session-role.ts'

/** A catalog, `x`. */
interface Source {
  from: string
  /** Condition: the row is of a temporary relation. */
  isTemporary?: string
  /** Values that change whenever the row does. */
  changes: string
  /** Text that is equal in databases with the same objects; null leaves the row out. */
  content: string
  /** The catalog's part of SCHEMA_VERSION: its number there, the key of a row, which rows. */
  version?: { number: number; key?: string; where?: string }
  /** The catalog's part of CATALOG_DIGEST: its number there, the version of a row, which rows. */
  digest?: { number: number; version?: string; where?: string }
}

const own = (column = 'x.oid') => `${column} >= ${FIRST_NORMAL_OID}`

const isNotLedger = (schema: string) => `${schema} <> '_db_gateway'::regnamespace`

/**
 * REFRESH and CLUSTER make new relations in pg_toast (99). NOT IN is looked up in a hash table, where
 * `<> all (array(…))` compares each row with all of them.
 */
const isNoToast = (relation: string) =>
  `${relation} not in (select t.oid from pg_class t where ${own('t.oid')} and t.relnamespace = 99)`

const SOURCES: Source[] = [
  {
    from: `pg_proc x where ${own()}`,
    changes: 'x.oid, x.xmin',
    content: 'x.proname || x.prosrc',
    version: { number: 0 },
    digest: { number: 0, where: isNotLedger('x.pronamespace') },
  },
  {
    // Array types change with their element types.
    from: `pg_type x where ${own()} and x.typelem = 0`,
    changes: 'x.oid, x.xmin',
    content: 'x.typname',
    version: { number: 1 },
    digest: {
      number: 7,
      version: "'0'::xid",
      where: `(x.typtype in ('e', 'd', 'r')
        or x.typrelid = any (array(select c.oid from pg_class c where ${own('c.oid')} and c.relkind = 'c')))
        and ${isNotLedger('x.typnamespace')}`,
    },
  },
  {
    // Not xmin, which TRUNCATE, REFRESH and REINDEX change.
    from: `pg_class x where ${own()} and x.relnamespace <> 99`,
    isTemporary: `x.relpersistence = 't'`,
    changes: `
      x.oid, x.relnamespace, x.relname, x.relkind, x.relpersistence, x.relowner, x.relam,
      x.relrowsecurity, x.relforcerowsecurity, x.relispartition, x.relreplident, x.reloptions`,
    content: 'x.relkind::text || x.relname',
    version: { number: 15, where: "x.relkind = 'c'" },
    digest: {
      number: 6,
      version: "'0'::xid",
      where: `x.relkind in ('r', 'p', 'f') and not x.relispartition
        and not starts_with(x.relname::text, '_db_gateway_') and ${isNotLedger('x.relnamespace')}`,
    },
  },
  {
    from: `pg_attribute x where ${own('x.attrelid')} and ${isNoToast('x.attrelid')}`,
    changes: 'x.attrelid, x.attnum, x.xmin',
    content:
      'case when x.attnum > 0 and not x.attisdropped then x.attnotnull::text || x.attname end',
    version: {
      number: 16,
      key: 'x.attrelid',
      where: `x.attrelid = any (array(select c.oid from pg_class c where ${own('c.oid')} and c.relkind = 'c'))`,
    },
  },
  {
    from: `pg_constraint x where ${own()}`,
    changes: 'x.oid, x.xmin',
    // Names of NOT NULL constraints remain when a column is renamed.
    content: `case when x.contype <> 'n' then x.conname end`,
    version: { number: 7, where: `x.contype in ('c', 'f')` },
  },
  {
    from: `pg_index x where ${own('x.indexrelid')} and ${isNoToast('x.indrelid')}`,
    changes: 'x.indexrelid, x.xmin',
    content: 'null',
    version: {
      number: 14,
      key: 'x.indexrelid',
      where: 'x.indexprs is not null or x.indpred is not null',
    },
  },
  {
    from: 'pg_trigger x',
    changes: 'x.oid, x.xmin',
    content: 'case when not x.tgisinternal then x.tgname end',
    version: { number: 8, where: 'not x.tgisinternal or x.tgparentid <> 0' },
    digest: { number: 2, where: 'not x.tgisinternal' },
  },
  {
    from: `pg_rewrite x where ${own()}`,
    changes: 'x.oid, x.xmin',
    content: 'x.rulename',
    version: { number: 6 },
    digest: { number: 1 },
  },
  {
    from: `pg_namespace x where not starts_with(x.nspname::text, 'pg_temp_')
      and not starts_with(x.nspname::text, 'pg_toast_temp_')`,
    changes: 'x.oid, x.xmin',
    content: 'x.nspname',
    version: { number: 5, where: own() },
  },
  // pg_depend does not show all changes to these, such as a new name.
  {
    from: 'pg_policy x',
    changes: 'x.oid, x.xmin',
    content: 'x.polname',
    version: { number: 10 },
    digest: { number: 3 },
  },
  {
    from: 'pg_event_trigger x',
    changes: 'x.oid, x.xmin',
    content: 'x.evtname',
    version: { number: 12 },
  },
  {
    from: `pg_operator x where ${own()}`,
    changes: 'x.oid, x.xmin',
    content: 'x.oprname',
    version: { number: 2 },
    digest: { number: 5, where: isNotLedger('x.oprnamespace') },
  },
  {
    from: `pg_cast x where ${own()}`,
    changes: 'x.oid, x.xmin',
    content: 'null',
    version: { number: 3 },
    digest: { number: 4 },
  },
  { from: 'pg_extension x', changes: 'x.oid, x.xmin', content: 'x.extname || x.extversion' },
  { from: 'pg_enum x', changes: 'x.oid, x.xmin', content: 'x.enumlabel' },
  {
    // Objects of all other catalogs: each depends on something, and its rows here are made anew when
    // it changes.
    from: `pg_depend x where ${own('x.objid')}
      and x.classid <> all ('{pg_class,pg_type}'::regclass[])`,
    changes: 'x.classid, x.objid, x.refclassid, x.refobjid, x.xmin',
    content: 'null',
  },
]

/** Catalogs that only SCHEMA_VERSION and CATALOG_DIGEST read: pg_depend shows their changes too. */
const OTHERS: Pick<Source, 'from' | 'version' | 'digest'>[] = [
  { from: `pg_amproc x where ${own()}`, version: { number: 4 } },
  { from: 'pg_attrdef x', version: { number: 9 } },
  { from: 'pg_statistic_ext x', version: { number: 11 } },
  { from: 'pg_inherits x', version: { number: 13, key: 'x.inhrelid' } },
  { from: SESSION_SETTINGS, version: { number: 17, key: 'x.setrole' } },
]

const hash = (...values: (number | string)[]) =>
  `hash_record_extended(row(${values.join(', ')}), 0)`
const only = (where: string | undefined, value: string) =>
  where === undefined ? value : `case when ${where} then ${value} end`

function stateColumns({ changes, content, isTemporary }: Source, i: number): string {
  const change = only(isTemporary && `not (${isTemporary})`, hash(i, changes))
  return `${change} as change, hashtextextended(${content}, ${i}) as content`
}

function otherColumns({ version, digest }: Pick<Source, 'version' | 'digest'>): string {
  const ofVersion =
    version && only(version.where, hash(version.number, version.key ?? 'x.oid', 'x.xmin'))
  const ofDigest =
    digest && only(digest.where, hash(digest.number, 'x.oid', digest.version ?? 'x.xmin'))
  return `${ofVersion ?? 'null'} as version, ${ofDigest ?? 'null'} as catalog_digest`
}

const STATE_COLUMNS = `
  case when count(*) = count(s.change) then sum(s.change)::text end as digest,
  sum(s.content)::text || ' ' || count(s.content) as content`

/**
 * SQL query for the state of a database's catalogs: `digest` changes whenever an object is created,
 * changed or dropped, by a deploy or by hand; `content` is equal in databases with objects of the same
 * names and function bodies. Needs a search_path of pg_catalog alone. VACUUM, TRUNCATE and REFRESH
 * change neither. While a session has temporary tables, the digest is null: their rows in the catalogs
 * come and go.
 */
export const STATE = `
  select ${STATE_COLUMNS}
  from (${SOURCES.map((one, i) => `select ${stateColumns(one, i)} from ${one.from}`).join(' union all ')}) as s
`

/**
 * SQL query for the state, and for the values of SCHEMA_VERSION (`version`) and CATALOG_DIGEST
 * (`catalog_digest`): one query takes half of the time of three. Nobody else may have objects in a
 * temporary schema.
 */
export const STATE_AND_VERSIONS = `
  select ${STATE_COLUMNS},
    coalesce(bit_xor(s.version), 0)::text as version,
    coalesce(bit_xor(s.catalog_digest), 0)::text as catalog_digest
  from (${[
    ...SOURCES.map(
      (one, i) => `select ${stateColumns(one, i)}, ${otherColumns(one)} from ${one.from}`,
    ),
    ...OTHERS.map((one) => `select 0::bigint, null::bigint, ${otherColumns(one)} from ${one.from}`),
  ].join(' union all ')}) as s (change, content, version, catalog_digest)
`

/** Name of the statement that `prepare` of a session's first replay gives it. */
const STATEMENT = '_db_gateway_state'

/** Setting of a transaction that keeps the result of TAKE_STATE for the statements after it. */
const KEPT_IN = 'db_gateway.state'

/**
 * Statement that prepares TAKE_STATE, once a session. Planning takes more time than running: a
 * replay runs it twice. Needs a search_path of pg_catalog alone.
 */
export const PREPARE_STATE = `
  prepare ${STATEMENT} as
  select taken.digest, set_config('${KEPT_IN}', to_jsonb(taken)::text, true) as kept
  from (${STATE_AND_VERSIONS}) as taken
`

/** Takes the state and keeps it until the transaction ends; its row has the digest. */
export const TAKE_STATE = `execute ${STATEMENT}`

/** SQL expression for what TAKE_STATE has taken: an object with the columns of STATE_AND_VERSIONS. */
export const TAKEN_STATE = `current_setting('${KEPT_IN}')::jsonb`
