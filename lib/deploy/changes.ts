import { quoteIdentifier } from '../names.ts'
import type { Sql } from '../postgres/connection.ts'
import { send } from '../postgres/pipeline.ts'

/** One column of a table. `type` is as PostgreSQL writes it, with its length or precision. */
export interface Column {
  number: number
  name: string
  type: string
  notNull: boolean
  default: string | null
  /** pg_attribute.attidentity and attgenerated; '' for a plain column. */
  generation: string
}

/** One table; `oid` stays when it is renamed. */
export interface Table {
  oid: string
  schema: string
  name: string
  columns: Column[]
}

/**
 * What a change means for what is there: `safe` for old data and old code; `data_loss` where values
 * are lost; `incompatible` where data stays but old code may fail.
 */
export type ChangeClass = 'safe' | 'data_loss' | 'incompatible'

export interface TableChange {
  oid: string
  table: string
  column: string | null
  change:
    | 'table_created'
    | 'table_dropped'
    | 'table_renamed'
    | 'column_added'
    | 'column_dropped'
    | 'column_renamed'
    | 'type_changed'
    | 'not_null_set'
    | 'not_null_dropped'
    | 'default_changed'
  class: ChangeClass
  from: string | null
  to: string | null
}

/** Sends the query that reads all tables of the database but the gateway's own. */
export function sendTables(sql: Sql): Promise<Table[]> {
  return send(sql<Table[]>`
    select
      c.oid::text as oid,
      n.nspname as schema,
      c.relname as name,
      coalesce(
        json_agg(
          json_build_object(
            'number', a.attnum,
            'name', a.attname,
            'type', format_type(a.atttypid, a.atttypmod),
            'notNull', a.attnotnull,
            'default', pg_get_expr(d.adbin, d.adrelid),
            'generation', a.attidentity::text || a.attgenerated::text
          )
          order by a.attnum
        ) filter (where a.attnum is not null),
        '[]'
      ) as columns
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where c.relkind in ('r', 'p')
      and n.nspname not in ('pg_catalog', 'information_schema')
      and n.nspname !~ '^pg_(toast|temp)'
      and c.relname !~ '^_db_gateway_'
    group by c.oid, n.nspname, c.relname
    order by n.nspname, c.relname
  `)
}

/**
 * A number that stays the same while no table changes. It costs a fraction of reading the tables,
 * and is enough where none is expected to change.
 */
export async function readDigest(sql: Sql): Promise<string> {
  const [row] = await sql<[{ digest: string }]>`
    select coalesce(sum(hashtextextended(
        (c.oid, c.relname, c.relnamespace, a.attnum, a.attname, a.atttypid, a.atttypmod,
          a.attnotnull, a.attisdropped, d.xmin)::text, 0
      )), 0)::text as digest
    from pg_class c
    left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where c.relkind in ('r', 'p')
      and c.relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      and c.relname !~ '^_db_gateway_'
  `
  return row.digest
}

/** What became of the tables between two looks at them. */
export function compareTables(before: Table[], after: Table[]): TableChange[] {
  const old = new Map(before.map((table) => [table.oid, table]))
  const current = new Set(after.map((table) => table.oid))
  return [
    ...before
      .filter((table) => !current.has(table.oid))
      .map((table) => change(table, null, 'table_dropped', 'data_loss')),
    ...after.flatMap((table) => {
      const was = old.get(table.oid)
      return was ? compareTable(was, table) : [change(table, null, 'table_created', 'safe')]
    }),
  ]
}

function compareTable(before: Table, after: Table): TableChange[] {
  const changes: TableChange[] = []
  if (tableName(before) !== tableName(after)) {
    changes.push(
      change(after, null, 'table_renamed', 'incompatible', tableName(before), tableName(after)),
    )
  }
  const old = new Map(before.columns.map((column) => [column.number, column]))
  const current = new Set(after.columns.map((column) => column.number))
  for (const column of before.columns) {
    if (!current.has(column.number)) {
      changes.push(change(before, column, 'column_dropped', 'data_loss', column.type))
    }
  }
  for (const column of after.columns) {
    const was = old.get(column.number)
    changes.push(...(was ? compareColumn(after, was, column) : [added(after, column)]))
  }
  return changes
}

function added(table: Table, column: Column): TableChange {
  // Old code does not fill it.
  const isRequired = column.notNull && column.default === null
  return change(
    table,
    column,
    'column_added',
    isRequired ? 'incompatible' : 'safe',
    null,
    column.type,
  )
}

function compareColumn(table: Table, before: Column, after: Column): TableChange[] {
  const changes: TableChange[] = []
  if (before.name !== after.name) {
    changes.push(change(table, after, 'column_renamed', 'incompatible', before.name, after.name))
  }
  if (before.type !== after.type) {
    const kind = isWidening(before.type, after.type) ? 'safe' : 'data_loss'
    changes.push(change(table, after, 'type_changed', kind, before.type, after.type))
  }
  if (before.notNull !== after.notNull) {
    changes.push(
      after.notNull
        ? change(table, after, 'not_null_set', 'incompatible')
        : change(table, after, 'not_null_dropped', 'safe'),
    )
  }
  if (before.default !== after.default) {
    const kind = after.default === null && after.notNull ? 'incompatible' : 'safe'
    changes.push(change(table, after, 'default_changed', kind, before.default, after.default))
  }
  return changes
}

/** Types of which each holds every value of those before it in its row. */
const WIDENINGS = [
  ['smallint', 'integer', 'bigint', 'numeric'],
  ['real', 'double precision'],
  ['date', 'timestamp without time zone'],
  ['date', 'timestamp with time zone'],
  ['timestamp without time zone', 'timestamp with time zone'],
  ['timestamp with time zone', 'timestamp without time zone'],
  ['json', 'jsonb'],
  ['cidr', 'inet'],
]

/** Types that a change turns into a text without losing anything. */
const TEXT_TYPES = new Set(['text', 'character varying', 'citext'])

/** Whether every value of one type is kept when its column is changed to the other. */
export function isWidening(from: string, to: string): boolean {
  const [fromBase, fromModifiers] = splitType(from)
  const [toBase, toModifiers] = splitType(to)
  if (TEXT_TYPES.has(toBase) && toModifiers.length === 0) return true
  if (fromBase === toBase) return holds(fromBase, fromModifiers, toModifiers)
  if (fromBase === 'character varying' && toBase === 'character varying') return false
  return (
    toModifiers.length === 0 &&
    WIDENINGS.some((row) => {
      const start = row.indexOf(fromBase)
      return start >= 0 && row.indexOf(toBase) > start
    })
  )
}

/** The same type with another length or precision: is the new one at least as large? */
function holds(base: string, from: number[], to: number[]): boolean {
  if (to.length === 0) return true
  if (from.length === 0) return false
  if (base !== 'numeric') return to.every((value, i) => value >= (from[i] ?? 0))
  const [fromPrecision = 0, fromScale = 0] = from
  const [toPrecision = 0, toScale = 0] = to
  return toScale >= fromScale && toPrecision - toScale >= fromPrecision - fromScale
}

/** `numeric(10,2)` is `numeric` and 10, 2; `timestamp(3) with time zone` likewise. */
function splitType(type: string): [string, number[]] {
  const match = /^([^()]*)(?:\(([\d,]+)\))?(.*)$/.exec(type)
  const modifiers = match?.[2] ? match[2].split(',').map(Number) : []
  return [`${match?.[1] ?? type}${match?.[3] ?? ''}`, modifiers]
}

function change(
  table: Table,
  column: Column | null,
  kind: TableChange['change'],
  changeClass: ChangeClass,
  from: string | null = null,
  to: string | null = null,
): TableChange {
  return {
    oid: table.oid,
    table: tableName(table),
    column: column?.name ?? null,
    change: kind,
    class: changeClass,
    from,
    to,
  }
}

/** As SQL writes it. */
export function tableName({ schema, name }: { schema: string; name: string }): string {
  const plain = /^[a-z_][a-z0-9_$]*$/
  const quote = (part: string) => (plain.test(part) ? part : quoteIdentifier(part))
  return schema === 'public' ? quote(name) : `${quote(schema)}.${quote(name)}`
}
