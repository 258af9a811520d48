import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { TableChange } from '../changes/changes.ts'
import { isLossless, type TypeStep, withModifiers } from '../changes/widening.ts'
import type { TypeText } from '../parser/names.ts'
import type { Risk } from '../parser/risks.ts'
import { DELETED, DROP_CLOSURE, DROP_ROOTS, STORING_ATTRIBUTE, TRUNCATED } from './closures.ts'

/** An existing relation, or one of its columns, that a statement would take away. */
export interface Target {
  oid: string
  /**
   * pg_class.relkind: r table, p partitioned table, S sequence, m materialized view, v view.
   */
  kind: 'r' | 'p' | 'S' | 'm' | 'v'
  schema: string
  name: string
  /** Row level security is forced, so the owner may not see all rows. */
  isForced: boolean
  /** pg_class.relispopulated: false for a materialized view WITH NO DATA. */
  isPopulated: boolean
  change: TableChange['change']
  /** pg_attribute.attnum; null if the whole relation is meant. */
  number: number | null
  column: string | null
  from: string | null
  to: string | null
  /** For a view: oids of the tables that it reads. */
  bases: string[]
  /** For a change of type: every value stays the same. */
  isLossless: boolean
}

/** A risk of losing rows; risks of kind `listed` weaken rules instead. */
export type RowRisk = Exclude<Risk, { kind: 'listed' }>

export function isAboutRows(risk: Risk): risk is RowRisk {
  return risk.kind !== 'listed'
}

interface Row extends Omit<Target, 'change' | 'from' | 'to' | 'bases' | 'isLossless'> {
  type: string | null
}

/** Query over the CTE `gone (oid, number)`: the relations and columns that a DROP may take away. */
const DESCRIBE = describe(['r', 'p', 'S', 'm'])

function describe(kinds: Target['kind'][], more = ''): string {
  return `
    select c.oid::text as oid, c.relkind::text as kind, n.nspname as schema, c.relname as name,
      c.relrowsecurity and c.relforcerowsecurity as "isForced",
      c.relispopulated as "isPopulated",
      nullif(gone.number, 0)::integer as number,
      a.attname as column,
      format_type(a.atttypid, a.atttypmod) as type${more}
    from gone
    join pg_class c on c.oid = gone.oid
    join pg_namespace n on n.oid = c.relnamespace
    left join pg_attribute a on a.attrelid = c.oid and a.attnum = gone.number and a.attnum > 0
    where c.relkind in (${kinds.map((kind) => `'${kind}'`).join(', ')})
      and c.relpersistence <> 't'
      and c.relname !~ '^_db_gateway_'
    order by n.nspname, c.relname, gone.number
  `
}

const NAMED = 'gone (oid, number) as (select to_regclass($1)::oid, 0)'

const COLUMN = `
  gone (oid, number) as (
    select attrelid, attnum
    from pg_attribute
    where attrelid = to_regclass($1) and attname = $2 and not attisdropped
  )
`

/** Finds what a statement would take away. Takes no locks on the targets. */
export async function findTargets(sql: Sql, risk: RowRisk): Promise<Target[]> {
  const find = async (cte: string, parameters: (string | boolean)[]): Promise<Row[]> => [
    ...(await send(sql.unsafe<Row[]>(`with recursive ${cte} ${DESCRIBE}`, parameters))),
  ]
  switch (risk.kind) {
    case 'drop': {
      const closure = DROP_ROOTS[risk.what] + DROP_CLOSURE
      return asDropped(await find(closure, [JSON.stringify(risk.names), risk.cascade]))
    }
    case 'drop column': {
      const { relation, column, cascade } = risk
      const parameters = [JSON.stringify([relation, column]), cascade]
      return asDropped(await find(DROP_ROOTS.column + DROP_CLOSURE, parameters))
    }
    case 'drop owned': {
      const parameters = [JSON.stringify(risk.roles), risk.current]
      return asDropped(await find(DROP_ROOTS.owned + DROP_CLOSURE, parameters))
    }
    case 'drop attribute': {
      const rows = await find(STORING_ATTRIBUTE, [risk.type, risk.attribute])
      return rows.map((row) => ({
        ...row,
        change: 'attribute_dropped',
        from: `${risk.type.replace(/"([a-z_][a-z0-9_$]*)"/g, '$1')}.${risk.attribute}`,
        to: null,
        bases: [],
        isLossless: false,
      }))
    }
    case 'change type': {
      const [row] = await find(COLUMN, [risk.relation, risk.column])
      return row ? asChangedType(sql, row, risk) : []
    }
    case 'truncate': {
      const rows = await find(TRUNCATED, [JSON.stringify(risk.relations), risk.cascade])
      return rows.map((row) => whole(row, 'table_truncated'))
    }
    case 'delete':
      return findDeleted(sql, risk.relation)
    case 'detach':
      return (await find(NAMED, [risk.relation])).map((row) => whole(row, 'partition_detached'))
    case 'set unlogged':
      return (await find(NAMED, [risk.relation])).map((row) => whole(row, 'table_unlogged'))
  }
}

async function findDeleted(sql: Sql, relation: string): Promise<Target[]> {
  const bases = `, (select coalesce(json_agg(oid::text), '[]') from base) as bases`
  const rows = await sql.unsafe<(Row & { bases: string[] })[]>(
    `with recursive ${DELETED} ${describe(['r', 'p', 'v'], bases)}`,
    [relation],
  )
  return rows.map((row) => ({ ...whole(row, 'rows_deleted'), bases: row.bases }))
}

function whole(row: Row, change: TableChange['change']): Target {
  return { ...row, change, from: null, to: null, bases: [], isLossless: false }
}

function asDropped(rows: Row[]): Target[] {
  return rows.map((row) => {
    if (row.number !== null) return { ...whole(row, 'column_dropped'), from: row.type }
    if (row.kind === 'S') return whole(row, 'sequence_dropped')
    return whole(row, row.kind === 'm' ? 'materialized_view_dropped' : 'table_dropped')
  })
}

async function asChangedType(
  sql: Sql,
  row: Row,
  { to, via, isComputed }: Extract<RowRisk, { kind: 'change type' }>,
): Promise<Target[]> {
  const texts = [...via, to]
  const found = await sql.unsafe<{ type: string | null; isEnum: boolean }[]>(
    `select format_type(t.oid, null) as type, coalesce(t.typtype = 'e', false) as "isEnum"
     from json_array_elements_text($1::text::json) with ordinality as named (name, position)
     left join pg_type t on t.oid = to_regtype(named.name)
     order by named.position`,
    [JSON.stringify(texts.map(({ name }) => name))],
  )
  const steps = found.map(({ type, isEnum }, i) => ({ type: written(type, texts[i]!), isEnum }))
  const isKnown = steps.every((step): step is TypeStep => step.type !== null)
  const isKept = !isComputed && isKnown && isLossless(row.type!, steps)
  const target = steps.at(-1)?.type ?? to.name
  return [{ ...whole(row, 'type_changed'), from: row.type, to: target, isLossless: isKept }]
}

/** Returns null if PostgreSQL has no such type, or if its modifiers are unknown. */
function written(type: string | null, { modifiers }: TypeText): string | null {
  return type === null || !modifiers ? null : withModifiers(type, modifiers)
}
