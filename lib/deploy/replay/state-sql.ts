import { FIRST_NORMAL_OID } from '../../postgres/oids.ts'

/** A catalog, `x`. */
interface Source {
  from: string
  /** Condition: the row is of a temporary relation. */
  isTemporary?: string
  /** Values that change whenever the row does. */
  changes: string
  /** Text that is equal in databases with the same objects; null leaves the row out. */
  content: string
}

const own = (column = 'x.oid') => `${column} >= ${FIRST_NORMAL_OID}`

const SOURCES: Source[] = [
  {
    from: `pg_proc x where ${own()}`,
    changes: 'x.oid, x.xmin',
    content: 'x.proname || x.prosrc',
  },
  {
    // Array types change with their element types.
    from: `pg_type x where ${own()} and x.typelem = 0`,
    changes: 'x.oid, x.xmin',
    content: 'x.typname',
  },
  {
    // Not xmin, which TRUNCATE, REFRESH and REINDEX change. The names in pg_toast (99) have oids.
    from: `pg_class x where ${own()}`,
    isTemporary: `x.relpersistence = 't'`,
    changes: `
      x.oid, x.relnamespace, x.relname, x.relkind, x.relpersistence, x.relowner, x.relam,
      x.relrowsecurity, x.relforcerowsecurity, x.relispartition, x.relreplident, x.reloptions`,
    content: 'case when x.relnamespace <> 99 then x.relkind::text || x.relname end',
  },
  {
    from: `pg_attribute x where ${own('x.attrelid')}`,
    changes: 'x.attrelid, x.attnum, x.xmin',
    content:
      'case when x.attnum > 0 and not x.attisdropped then x.attnotnull::text || x.attname end',
  },
  {
    from: `pg_constraint x where ${own()}`,
    changes: 'x.oid, x.xmin',
    // Names of NOT NULL constraints remain when a column is renamed.
    content: `case when x.contype <> 'n' then x.conname end`,
  },
  {
    from: `pg_index x where ${own('x.indexrelid')}`,
    changes: 'x.indexrelid, x.xmin',
    content: 'null',
  },
  {
    from: 'pg_trigger x',
    changes: 'x.oid, x.xmin',
    content: 'case when not x.tgisinternal then x.tgname end',
  },
  {
    from: `pg_rewrite x where ${own()}`,
    changes: 'x.oid, x.xmin',
    content: 'x.rulename',
  },
  {
    from: `pg_namespace x where not starts_with(x.nspname::text, 'pg_temp_')
      and not starts_with(x.nspname::text, 'pg_toast_temp_')`,
    changes: 'x.oid, x.xmin',
    content: 'x.nspname',
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

const arm = ({ from, changes, content, isTemporary }: Source, i: number) => {
  const change = `hash_record_extended(row(${i}, ${changes}), 0)`
  return `
    select ${isTemporary ? `case when not (${isTemporary}) then ${change} end` : change} as change,
      hashtextextended(${content}, ${i}) as content
    from ${from}`
}

/**
 * SQL query for the state of a database's catalogs: `digest` changes whenever an object is created,
 * changed or dropped, by a deploy or by hand; `content` is equal in databases with objects of the same
 * names and function bodies. Needs a search_path of pg_catalog alone. VACUUM, TRUNCATE and REFRESH
 * change neither. While a session has temporary tables, the digest is null: their rows in the catalogs
 * come and go.
 */
export const STATE = `
  select case when count(*) = count(s.change) then sum(s.change)::text end as digest,
    sum(s.content)::text || ' ' || count(s.content) as content
  from (${SOURCES.map(arm).join(' union all ')}) as s
`
