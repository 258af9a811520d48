import { FIRST_NORMAL_OID } from '../../postgres/oids.ts'
import { SESSION_SETTINGS } from '../../postgres/session-role.ts'

const own = (column = 'x.oid') => `${column} >= ${FIRST_NORMAL_OID}`

/** SQL condition: the schema is not one of temporary objects. */
const permanent = (schema: string) => `${schema}::regnamespace::text !~ '^pg_(toast_)?temp_'`

/**
 * A catalog, `x`, with one line for each row that is not built in. A line refers to other rows by
 * name. It leaves out statistics, storage, comments, owners, and all privileges except those on
 * schemas, since none of them changes a function.
 */
interface Source {
  columns: string
  from: string
}

// 403 is btree. Its built-in operator classes have no options.
const SOURCES: Record<string, Source> = {
  function: {
    columns: `
      x.pronamespace::regnamespace, x.proname, x.proargtypes::oid[]::regtype[],
      x.proallargtypes::regtype[], x.proargmodes, x.proargnames, x.prorettype::regtype,
      x.proretset, x.provariadic::regtype, x.prokind, x.provolatile, x.proisstrict, x.prosecdef,
      x.proleakproof, x.proparallel, x.procost, x.prorows, x.prosupport,
      x.protrftypes::regtype[], x.proconfig, l.lanname, x.probin, x.prosrc,
      pg_get_expr(x.proargdefaults, 0),
      case when x.prosqlbody is not null then pg_get_function_sqlbody(x.oid) end,
      exists (
        select from pg_depend d
        where d.classid = 'pg_proc'::regclass and d.objid = x.oid and d.deptype = 'e'
      )`,
    from: `pg_proc x join pg_language l on l.oid = x.prolang
      where ${own()} and ${permanent('x.pronamespace')}`,
  },
  aggregate: {
    columns: `
      x.aggfnoid::regprocedure, x.aggkind, x.aggnumdirectargs, x.aggtransfn, x.aggfinalfn,
      x.aggcombinefn, x.aggserialfn, x.aggdeserialfn, x.aggmtransfn, x.aggminvtransfn,
      x.aggmfinalfn, x.aggsortop::regoperator, x.aggtranstype::regtype, x.agginitval,
      x.aggminitval`,
    from: `pg_aggregate x where ${own('x.aggfnoid::oid')}`,
  },
  relation: {
    columns: `
      x.relnamespace::regnamespace, x.relname, x.relkind, x.relpersistence, x.relrowsecurity,
      x.relforcerowsecurity, x.relispartition, x.reloptions, x.reloftype::regtype,
      case when x.relispartition then pg_get_expr(x.relpartbound, x.oid) end,
      case x.relkind when 'p' then pg_get_partkeydef(x.oid) end,
      case when x.relkind in ('v', 'm') then pg_get_viewdef(x.oid) end`,
    from: `pg_class x where ${own()} and x.relpersistence <> 't'
      and x.relnamespace <> 'pg_toast'::regnamespace`,
  },
  column: {
    columns: `
      x.attrelid::regclass, x.attnum, x.attname, format_type(x.atttypid, x.atttypmod),
      x.attcollation::regcollation, x.attnotnull, x.attidentity, x.attgenerated,
      pg_get_expr(d.adbin, case when x.attgenerated = '' then 0 else x.attrelid end)`,
    from: `pg_class c
      join pg_attribute x on x.attrelid = c.oid
      left join pg_attrdef d on d.adrelid = x.attrelid and d.adnum = x.attnum
      where ${own('c.oid')} and c.relkind in ('r', 'p', 'v', 'm', 'f', 'c')
        and c.relpersistence <> 't' and x.attnum > 0 and not x.attisdropped`,
  },
  constraint: {
    columns: `
      x.connamespace::regnamespace, x.conname, x.contype, x.condeferrable, x.condeferred,
      x.convalidated, x.conrelid::regclass, x.contypid::regtype, x.confrelid::regclass,
      x.confupdtype, x.confdeltype, x.confmatchtype, x.conkey, x.confkey,
      x.conexclop::regoperator[], pg_get_expr(x.conbin, x.conrelid)`,
    // NOT NULL is part of the line of the column.
    from: `pg_constraint x where ${own()} and x.contype <> 'n'
      and ${permanent('x.connamespace')}`,
  },
  index: {
    columns: `
      x.indexrelid::regclass, x.indrelid::regclass, x.indisunique, x.indnullsnotdistinct,
      x.indisprimary, x.indisexclusion, x.indimmediate, x.indisvalid, x.indnkeyatts, x.indkey,
      x.indoption, x.indcollation::oid[]::regcollation[],
      case when i.relam <> '403' or ${FIRST_NORMAL_OID} <= any (x.indclass)
        then pg_get_indexdef(x.indexrelid) else x.indclass::text
      end,
      pg_get_expr(x.indexprs, x.indrelid), pg_get_expr(x.indpred, x.indrelid)`,
    from: `pg_index x join pg_class i on i.oid = x.indexrelid
      where ${own('x.indexrelid')} and i.relpersistence <> 't'
        and i.relnamespace <> 'pg_toast'::regnamespace`,
  },
  type: {
    columns: `
      x.typnamespace::regnamespace, x.typname, x.typtype, x.typcategory, x.typispreferred,
      x.typnotnull, x.typbasetype::regtype, x.typtypmod, x.typcollation::regcollation,
      x.typdefault, x.typinput, x.typoutput, x.typreceive, x.typsend, x.typmodin, x.typmodout,
      x.typsubscript, x.typelem::regtype,
      case x.typtype when 'e' then (
        select array_agg(e.enumlabel order by e.enumsortorder)
        from pg_enum e
        where e.enumtypid = x.oid
      ) end`,
    // The line of the relation covers its row type.
    from: `pg_type x where ${own()} and x.typtype <> 'c' and ${permanent('x.typnamespace')}`,
  },
  range: {
    columns: `
      x.rngtypid::regtype, x.rngsubtype::regtype, x.rngcollation::regcollation, x.rngcanonical,
      x.rngsubdiff`,
    from: `pg_range x where ${own('x.rngtypid')}`,
  },
  trigger: {
    columns: 'x.tgrelid::regclass, x.tgname, x.tgenabled, pg_get_triggerdef(x.oid)',
    from: 'pg_trigger x where not x.tgisinternal or x.tgparentid <> 0',
  },
  rule: {
    columns: 'x.ev_class::regclass, x.rulename, x.ev_enabled, pg_get_ruledef(x.oid)',
    from: `pg_rewrite x where ${own()} and x.rulename <> '_RETURN'`,
  },
  policy: {
    columns: `
      x.polrelid::regclass, x.polname, x.polcmd, x.polpermissive, x.polroles::regrole[],
      pg_get_expr(x.polqual, x.polrelid), pg_get_expr(x.polwithcheck, x.polrelid)`,
    from: 'pg_policy x',
  },
  inheritance: {
    columns: 'x.inhrelid::regclass, x.inhparent::regclass, x.inhseqno',
    from: 'pg_inherits x',
  },
  statistics: {
    columns: 'x.stxrelid::regclass, pg_get_statisticsobjdef(x.oid)',
    from: 'pg_statistic_ext x',
  },
  operator: {
    columns: `
      x.oid::regoperator, x.oprresult::regtype, x.oprcode, x.oprcom::regoperator,
      x.oprnegate::regoperator`,
    from: `pg_operator x where ${own()}`,
  },
  cast: {
    columns: `
      x.castsource::regtype, x.casttarget::regtype, x.castfunc::regprocedure, x.castcontext,
      x.castmethod`,
    from: `pg_cast x where ${own()}`,
  },
  'support function': {
    columns: 'x.amproc, x.amprocnum, x.amproclefttype::regtype, x.amprocrighttype::regtype',
    from: `pg_amproc x where ${own()}`,
  },
  'operator class': {
    columns: `
      x.opcnamespace::regnamespace, x.opcname, x.opcmethod, x.opcintype::regtype, x.opcdefault`,
    from: `pg_opclass x where ${own()}`,
  },
  conversion: {
    columns: 'x.connamespace::regnamespace, x.conname, x.conproc, x.condefault',
    from: `pg_conversion x where ${own()}`,
  },
  collation: {
    columns: `
      x.oid::regcollation, x.collprovider, x.collisdeterministic, x.collcollate, x.collctype`,
    from: `pg_collation x where ${own()}`,
  },
  'text search configuration': {
    columns: 'x.oid::regconfig',
    from: `pg_ts_config x where ${own()}`,
  },
  dictionary: {
    columns: 'x.oid::regdictionary, x.dictinitoption',
    from: `pg_ts_dict x where ${own()}`,
  },
  language: {
    columns: `
      x.lanname, x.lanpltrusted, x.lanvalidator::regprocedure, x.lanplcallfoid::regprocedure`,
    from: `pg_language x where ${own()}`,
  },
  'event trigger': {
    columns: 'x.evtname, x.evtevent, x.evtfoid::regprocedure, x.evtenabled, x.evttags',
    from: 'pg_event_trigger x',
  },
  extension: {
    columns: 'x.extname, x.extversion, x.extnamespace::regnamespace',
    from: 'pg_extension x',
  },
  schema: {
    columns: 'x.nspname, x.nspowner::regrole, x.nspacl',
    from: `pg_namespace x where x.nspname !~ '^pg_(toast_)?temp_'`,
  },
  setting: {
    columns: 'x.setrole::regrole, x.setdatabase = 0, x.setconfig',
    from: SESSION_SETTINGS,
  },
  session: {
    columns: `
      session_user, current_setting('server_version_num'),
      current_setting('standard_conforming_strings')`,
    from: '(values (1)) as x',
  },
}

const LINES = Object.entries(SOURCES).map(
  ([name, { columns, from }]) => `select row('${name}', ${columns})::text from ${from}`,
)

/**
 * SQL for the print of a database: SHA-256 in hex over all catalog rows that may affect a function.
 * Equal prints mean equal schemas, regardless of oids. Equal schemas may have several prints,
 * because the numbers of dropped columns count. Needs a session with CANONICAL_SETTINGS. Takes a
 * fifth of the time of FACTS, most of it for planning.
 */
export const PRINT = `
  select encode(
    sha256(convert_to(string_agg(line, E'\\n' order by line collate "C"), 'UTF8')), 'hex'
  ) as print
  from (${LINES.join(' union all ')}) as lines (line)
`
