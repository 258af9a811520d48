import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier, quoteLiteral } from '../../postgres/quote.ts'

import type { Declaration, Step } from './syntax.ts'

/** A declaration, and the existing object of that name. */
export interface Placed extends Declaration {
  step: Step
  /** Declared schema, or the one in which PostgreSQL would create it; null if there is none. */
  schema: string | null
  /** Kind of the existing object; null if there is none. */
  existing: string | null
}

/**
 * Looks up the schema of each declaration and the existing object of that name. PostgreSQL creates
 * objects without a schema in the first existing schema of the search_path (PostgreSQL manual, "The
 * Schema Search Path").
 */
export async function findExisting(
  sql: Sql,
  files: Step[][],
): Promise<{ placed: Placed[]; currentSchema: string | null }> {
  const steps = files.flat().filter((step) => step.declares)
  if (steps.length === 0) return { placed: [], currentSchema: null }
  const wanted = steps.map(({ declares }, position) => ({ ...declares, position }))
  const rows = await send(
    sql.unsafe<{ schema: string | null; existing: string | null; current: string | null }[]>(`
      select
        coalesce(wanted.schema, current_schema()) as schema,
        current_schema() as current,
        case
          when wanted.kind in ('table', 'sequence') or t.typtype = 'c' then
            case c.relkind
              when 'r' then 'table'
              when 'p' then 'table'
              when 'f' then 'table'
              when 'S' then 'sequence'
              when 'v' then 'view'
              when 'm' then 'materialized view'
              when 'c' then 'composite type'
              when 'i' then 'index'
              when 'I' then 'index'
            end
          else
            case t.typtype
              when 'e' then 'enum'
              when 'd' then 'domain'
              when 'r' then 'range type'
              when 'm' then 'multirange type'
              when 'b' then 'base type'
              when 'p' then 'pseudo-type'
            end
        end as existing
      from json_to_recordset(${quoteLiteral(JSON.stringify(wanted))}::json)
        as wanted (kind text, schema text, name text, position integer)
      left join pg_namespace n on n.nspname = coalesce(wanted.schema, current_schema())
      left join pg_class c on c.relnamespace = n.oid and c.relname = wanted.name
      left join pg_type t on t.typnamespace = n.oid and t.typname = wanted.name
      order by wanted.position
    `),
  )
  const placed = steps.map((step, i) => {
    const { schema, existing } = rows[i]!
    return { ...step.declares!, step, schema, existing }
  })
  return { placed, currentSchema: rows[0]!.current }
}

/** Returns schema.name for messages, quoted only where SQL requires it. */
export function displayName({ schema, name }: { schema: string | null; name: string }): string {
  const quote = (part: string) => (/^[a-z_][a-z0-9_$]*$/.test(part) ? part : quoteIdentifier(part))
  return schema === null ? quote(name) : `${quote(schema)}.${quote(name)}`
}
