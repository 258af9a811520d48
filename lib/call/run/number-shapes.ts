import { FIRST_CATALOG_OID } from '../../postgres/oids.ts'
import type { Column, Statement } from '../../postgres/session/query.ts'
import type { Session } from '../../postgres/session/session.ts'

/**
 * Where JSON that PostgreSQL writes of a type has numeric and bigint: it is one, each element of the
 * array is of such a shape, or the members are, in their order; undefined: nowhere.
 */
export type Shape = 'number' | { each: Shape } | { members: Shape[] } | undefined

const NUMBERS: Shape = { each: 'number' }

/** Those of PostgreSQL itself: int8, numeric, and arrays of them (source, pg_type.dat). */
const BUILT_IN = new Map<number, Shape>([
  [20, 'number'],
  [1700, 'number'],
  [1016, NUMBERS],
  [1231, NUMBERS],
])

/**
 * Types made by SQL, with all that they consist of: what each is in pg_type.typtype, the type below a
 * domain or of an array's elements, and those of a composite type's columns.
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

/** Of the types that a session was asked for. It is closed when they change, as its plans have to be. */
const known = new WeakMap<Session, Map<number, Shape>>()

/**
 * The shapes of columns, in their order. Types that are not PostgreSQL's own are read in the session,
 * once.
 */
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

/** Not prepared: the function may have deallocated what the session had. */
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

/** JSON does not tell the dimensions of an array from arrays within it. */
function arrayOf(element: Shape): Shape {
  if (element === undefined) return undefined
  return typeof element === 'object' && 'each' in element ? element : { each: element }
}
