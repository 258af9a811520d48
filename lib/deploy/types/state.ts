import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'

/** A type as PostgreSQL's catalogs describe it. */
export interface TypeState {
  schema: string
  name: string
  /** Labels of an enum, in order. */
  labels: string[]
  /** Attributes of a composite type, in order. */
  attributes: { name: string; type: string }[]
  /** Base type of a domain. */
  base: string | null
  /** Default of a domain; this and the following fields apply to domains only. */
  default: string | null
  isNotNull: boolean
  checks: { name: string; definition: string }[]
}

/** Sends the query for those of the named types that exist. */
export function sendTypeStates(
  sql: Sql,
  names: { schema: string; name: string }[],
): Promise<TypeState[]> {
  return send(
    sql.unsafe<TypeState[]>(`
      select
        n.nspname as schema,
        t.typname as name,
        (
          select coalesce(json_agg(e.enumlabel order by e.enumsortorder), '[]')
          from pg_enum e
          where e.enumtypid = t.oid
        ) as labels,
        (
          select coalesce(json_agg(json_build_object(
            'name', a.attname,
            'type', format_type(a.atttypid, a.atttypmod) || case
              when a.attcollation <> own.typcollation
              then format(' collate %s', a.attcollation::regcollation)
              else ''
            end
          ) order by a.attnum), '[]')
          from pg_attribute a
          join pg_type own on own.oid = a.atttypid
          where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
        ) as attributes,
        format_type(base.oid, t.typtypmod) || case
          when t.typcollation <> base.typcollation
          then format(' collate %s', t.typcollation::regcollation)
          else ''
        end as base,
        pg_get_expr(t.typdefaultbin, 0) as default,
        t.typnotnull as "isNotNull",
        (
          select coalesce(json_agg(json_build_object(
            'name', c.conname,
            'definition', pg_get_constraintdef(c.oid)
          ) order by c.conname), '[]')
          from pg_constraint c
          where c.contypid = t.oid and c.contype = 'c'
        ) as checks
      from json_to_recordset(${quoteLiteral(JSON.stringify(names))}::json)
        as wanted (schema text, name text)
      join pg_namespace n on n.nspname = wanted.schema
      join pg_type t on t.typnamespace = n.oid and t.typname = wanted.name
      left join pg_type base on base.oid = t.typbasetype
    `),
  )
}
