import { Children, type Json, kindOf } from '../../json/json.ts'
import {
  isSliceOver,
  runInSlices,
  runNow,
  SLICE_BYTES,
  STEP_BYTES,
  type Steps,
} from '../../json/slices.ts'
import type { Column, Row } from '../../postgres/session/query.ts'
import type { Session } from '../../postgres/session/session.ts'
import { type Shape, shapesOf } from './number-shapes.ts'
import type { Rows } from './result.ts'

/**
 * Converts numeric and bigint in rows to JSON strings, in columns, arrays, composite types and
 * domains. Values inside json, jsonb and anonymous records stay as they are, because their types
 * are unknown.
 * @param columns columns of the rows, in order; undefined: converts nothing
 */
export async function numbersAsText<T extends Rows>(
  session: Session,
  columns: Column[] | undefined,
  result: T,
): Promise<T> {
  if (!columns || result.rowCount === 0) return result
  const members = await shapesOf(session, columns)
  if (members.every((shape) => shape === undefined)) return result
  return { ...result, rows: await quoted(result.rows, { each: { members } }) }
}

/**
 * Converts as `numbersAsText` does, for rows that each are one JSON object in their first field.
 * @param members shapes of the members of each object
 */
export async function numbersOfRowsAsText(members: Shape[], rows: Row[]): Promise<Row[]> {
  if (members.every((shape) => shape === undefined)) return rows
  const written: Row[] = []
  for (const [json] of rows) written.push([json ? await quoted(json, { members }) : null])
  return written
}

const QUOTE = 0x22

/** Puts quotes around the numbers of a shape, synchronously if the JSON is short. */
async function quoted(bytes: Buffer, shape: Shape): Promise<Buffer> {
  const places: number[] = []
  const steps = find(places, jsonAt(bytes, 0, bytes.length), shape)
  if (bytes.length <= SLICE_BYTES) runNow(steps)
  else await runInSlices(steps)
  if (places.length === 0) return bytes
  const written = Buffer.allocUnsafe(bytes.length + places.length)
  let from = 0
  let at = 0
  for (const place of places) {
    at += bytes.copy(written, at, from, place)
    written[at++] = QUOTE
    from = place
  }
  bytes.copy(written, at, from)
  return written
}

/** Collects the start and end offsets of the numbers of a shape, in order. */
function* find(places: number[], json: Json, shape: Shape): Steps<void> {
  if (shape === undefined || json.kind === 'null') return
  if (shape === 'number') {
    // PostgreSQL writes NaN and Infinity as strings.
    if (json.kind === 'number') places.push(json.start, json.end)
    return
  }
  const { bytes } = json
  const children = new Children(json)
  for (let i = 0; children.next(); i++) {
    const { start, end } = children
    if (isSliceOver(STEP_BYTES)) yield
    const child = 'members' in shape ? shape.members[i] : dimension(shape, bytes[start]!)
    if (child === undefined) continue
    if (child === 'number') {
      if (kindOf(bytes[start]!) === 'number') places.push(start, end)
    } else {
      yield* find(places, jsonAt(bytes, start, end), child)
    }
  }
}

/**
 * Returns the shape of an array element: a nested array is a further dimension of the same shape.
 */
function dimension(array: { each: Shape }, first: number): Shape {
  return kindOf(first) === 'array' ? array : array.each
}

function jsonAt(bytes: Buffer, start: number, end: number): Json {
  return { bytes, start, end, kind: kindOf(bytes[start]!), long: undefined }
}
