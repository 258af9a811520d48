import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'

/** A column of a table. `type` is the text of format_type, with length or precision. */
export interface Column {
  number: number
  name: string
  type: string
  notNull: boolean
  default: string | null
  /** pg_attribute.attidentity and attgenerated; '' for a plain column. */
  generation: string
}

/** A constraint or a policy of a table. */
export interface Rule {
  oid: string
  name: string
}

/** A relation that keeps data, or a composite type; `oid` stays the same when it is renamed. */
export interface Table {
  oid: string
  /**
   * pg_class.relkind: r table, p partitioned table, S sequence, m materialized view, c composite
   * type, whose attributes are in `columns`.
   */
  kind: 'r' | 'p' | 'S' | 'm' | 'c'
  schema: string
  name: string
  columns: Column[]
  /**
   * Type of each column by its number, as `oid/typmod/collation`. Unlike the name in `type`, it
   * tells two types of the same name apart.
   */
  types: { [number: string]: string }
  isUnlogged: boolean
  rowSecurity: boolean
  forcedRowSecurity: boolean
  /** Oids of the tables that it inherits from or is a partition of. */
  parents: string[]
  /** For a sequence: the table and number of the column that owns it, as `oid/number`. */
  owner: string | null
  /** All constraints except NOT NULL. */
  constraints: (Rule & { columns: number[] })[]
  policies: Rule[]
}

/**
 * Sends the query for all relations that keep data, and all composite types. Temporary relations
 * and those of the gateway are left out, as are sequences of identity columns, which are part of
 * the column.
 */
export function sendTables(sql: Sql): Promise<Table[]> {
  return send(sql<Table[]>`
    select
      c.oid::text as oid,
      c.relkind::text as kind,
      n.nspname as schema,
      c.relname as name,
      c.relpersistence = 'u' as "isUnlogged",
      c.relrowsecurity as "rowSecurity",
      c.relforcerowsecurity as "forcedRowSecurity",
      coalesce((
        select json_agg(json_build_object(
            'number', a.attnum,
            'name', a.attname,
            'type', format_type(a.atttypid, a.atttypmod),
            'notNull', a.attnotnull,
            'default', pg_get_expr(d.adbin, d.adrelid),
            'generation', a.attidentity::text || a.attgenerated::text
          ) order by a.attnum)
        from pg_attribute a
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and c.relkind <> 'S'
      ), '[]') as columns,
      coalesce((
        select json_object_agg(attnum, atttypid || '/' || atttypmod || '/' || attcollation)
        from pg_attribute
        where attrelid = c.oid and attnum > 0 and not attisdropped and c.relkind <> 'S'
      ), '{}') as types,
      coalesce((
        select json_agg(inhparent::text) from pg_inherits where inhrelid = c.oid
      ), '[]') as parents,
      coalesce((
        select json_agg(json_build_object(
          'oid', oid::text, 'name', conname, 'columns', coalesce(conkey, '{}')))
        from pg_constraint
        where conrelid = c.oid and contype <> 'n'
      ), '[]') as constraints,
      coalesce((
        select json_agg(json_build_object('oid', oid::text, 'name', polname))
        from pg_policy
        where polrelid = c.oid
      ), '[]') as policies,
      case when c.relkind = 'S' then (
        select refobjid || '/' || refobjsubid
        from pg_depend
        where classid = 'pg_class'::regclass and objid = c.oid
          and refclassid = 'pg_class'::regclass and deptype = 'a' and refobjsubid > 0
      ) end as owner
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'S', 'm', 'c')
      and c.relpersistence <> 't'
      and n.nspname not in ('pg_catalog', 'information_schema', '_db_gateway')
      and n.nspname !~ '^pg_toast'
      and c.relname !~ '^_db_gateway_'
      and not (c.relkind = 'S' and exists (
        select from pg_depend
        where classid = 'pg_class'::regclass and objid = c.oid and deptype = 'i'
      ))
    order by n.nspname, c.relname
  `)
}

/**
 * Returns whether it is a table, plain or partitioned; a deploy's list of changes has only those.
 */
export function isTable({ kind }: Table): boolean {
  return kind === 'r' || kind === 'p'
}
