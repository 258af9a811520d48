import { FIRST_CATALOG_OID } from '../../postgres/oids.ts'
import type { Column, Statement } from '../../postgres/session/query.ts'
import type { Session } from '../../postgres/session/session.ts'

/**
 * Where the JSON of a type contains numeric or bigint: the value itself, each element of an array,
 * or some members of a composite, listed in order. Undefined: nowhere.
 */
export type Shape = 'number' | { each: Shape } | { members: Shape[] } | undefined

const NUMBERS: Shape = { each: 'number' }

/**
 * Shapes of built-in types by oid: int8, numeric, and arrays of them (PostgreSQL source,
 * pg_type.dat).
 */
const BUILT_IN = new Map<number, Shape>([
  [20, 'number'],
  [1700, 'number'],
  [1016, NUMBERS],
  [1231, NUMBERS],
])

/**
 * Query of user-defined types and all types that they consist of: pg_type.typtype, the base type of
 * a domain or element type of an array, and the column types of a composite type.
 */
const READ_TYPES = `
  with recursive types (oid) as (
    select pg_catalog.unnest($1::pg_catalog.oid[])
    union
    select part.oid
    from types
    join pg_catalog.pg_type t using (oid)
    cross join lateral (
      select t.typbasetype as oid where t.typtype = 'd'
      union all
      select t.typelem where t.typcategory = 'A'
      union all
      select a.atttypid from pg_catalog.pg_attribute a
      where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
    ) as part
  )
  select t.oid, case when t.typcategory = 'A' then 'a' else t.typtype end,
    case t.typtype when 'd' then t.typbasetype else t.typelem end,
    (
      select pg_catalog.string_agg(a.atttypid::text, ' ' order by a.attnum)
      from pg_catalog.pg_attribute a
      where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
    )
  from types join pg_catalog.pg_type t using (oid)`

interface TypeRow {
  kind: string
  below: number
  columns: number[]
}

/**
 * Known shapes by session. A session is closed when a type changes, because its plans have to go
 * too.
 */
const known = new WeakMap<Session, Map<number, Shape>>()

/** Returns the shapes of columns, in order. Reads user-defined types in the session, once each. */
export async function shapesOf(session: Session, columns: Column[]): Promise<Shape[]> {
  const shapes = known.get(session) ?? new Map(BUILT_IN)
  known.set(session, shapes)
  const types = columns.map(({ type }) => type)
  const missing = types.filter((type) => type >= FIRST_CATALOG_OID && !shapes.has(type))
  if (missing.length > 0) {
    const query = session.run(readTypes(missing))
    session.flush()
    const rows = new Map(
      (await query.result).rows.map((row) => {
        const [oid, kind, below, parts] = row.map((value) => value?.toString() ?? '')
        const columns = parts ? parts.split(' ').map(Number) : []
        return [Number(oid), { kind: kind!, below: Number(below), columns }]
      }),
    )
    for (const type of missing) shapes.set(type, shapeOf(type, rows))
  }
  return types.map((type) => shapes.get(type))
}

/** Not prepared: the function may have deallocated the session's statements. */
function readTypes(types: number[]): Statement {
  return { text: READ_TYPES, values: [`{${types.join(',')}}`], isPrepared: false }
}

function shapeOf(oid: number, types: ReadonlyMap<number, TypeRow>): Shape {
  const type = types.get(oid)
  if (BUILT_IN.has(oid) || !type) return BUILT_IN.get(oid)
  switch (type.kind) {
    case 'd':
      return shapeOf(type.below, types)
    case 'a':
      return arrayOf(shapeOf(type.below, types))
    case 'c': {
      const members = type.columns.map((column) => shapeOf(column, types))
      return members.some((member) => member !== undefined) ? { members } : undefined
    }
    default:
      return undefined
  }
}

/** JSON does not distinguish the dimensions of an array from nested arrays. */
function arrayOf(element: Shape): Shape {
  if (element === undefined) return undefined
  return typeof element === 'object' && 'each' in element ? element : { each: element }
}
