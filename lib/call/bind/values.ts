import { Children, countOf, type Json } from '../../json/json.ts'
import { isSliceOver, STEP_BYTES, type Steps } from '../../json/slices.ts'
import { jsonOrBytesOf } from '../../json/text.ts'
import type { ArgumentKind, TypeShapes } from '../signatures/signature.ts'
import { bytesText, noBytes } from './bytes.ts'
import { elementsText, recordText } from './composites.ts'
import type { Given } from './given.ts'
import { hstoreText } from './hstore.ts'
import { NoText, scalarText } from './text.ts'

/** PostgreSQL's MAXDIM. */
const MAX_DIMENSIONS = 6

/** A longer object is made an hstore by PostgreSQL. */
const MAX_HSTORE_BYTES = 32 * 1024

/** How a value stands in the SQL of a call. */
export interface ValueText {
  /**
   * What `$n` is:
   * - `text`: the value as its type writes it,
   * - `string`: a JSON string that has it,
   * - `record`: a JSON object whose one member, named by the label, is taken apart,
   * - `numeric`, `numeric[]`: the same, of which a cast makes the value,
   * - `json[]`, `array[]`: a JSON array, whose elements are those of the value whatever they are,
   * - `hstore`: a JSON object, whose members are its pairs.
   */
  form: 'text' | 'string' | 'record' | 'numeric' | 'numeric[]' | 'json[]' | 'array[]' | 'hstore'
  /** Null is SQL NULL. UTF-8, where it is bytes. */
  value: string | Buffer | null
}

/**
 * A JSON value as PostgreSQL reads it, where it is one text; undefined where it is more.
 * @throws {NoText}
 */
export function plainValue(kind: ArgumentKind, json: Json): ValueText | undefined {
  if (json.kind === 'null') return { form: 'text', value: null }
  if (kind === 'json') return { form: 'text', value: jsonOrBytesOf(json) }
  const isContainer = json.kind === 'array' || json.kind === 'object'
  if (isContainer && kind !== 'scalar' && kind !== 'money') return undefined
  if (kind === 'bytea' && json.kind !== 'string') throw noBytes()
  const text = scalarText(json)
  if (text === undefined) return { form: 'string', value: jsonOrBytesOf(json) }
  // Money as text has a decimal point, or a comma, as lc_monetary says; JSON has a point.
  return { form: kind === 'money' && json.kind === 'number' ? 'numeric' : 'text', value: text }
}

/**
 * A JSON array or object as PostgreSQL reads it.
 * @throws {NoText}
 */
export function* structuredValue(
  kind: ArgumentKind,
  types: TypeShapes,
  { argument, label, value }: Given,
): Steps<ValueText> {
  const isArray = value.kind === 'array'
  switch (kind) {
    case 'bytea':
      if (!isArray) throw noBytes()
      return { form: 'text', value: yield* bytesText(value) }
    case 'json[]':
      if (!isArray) throw noArray()
      return { form: kind, value: jsonOrBytesOf(value) }
    case 'array[]':
      if (!isArray) throw noArray()
      return { form: kind, value: yield* elementsText(types, argument.element!, value) }
    case 'hstore':
      if (isArray && countOf(value) > 0) return { form: 'text', value: jsonOrBytesOf(value) }
      if (value.end - value.start > MAX_HSTORE_BYTES) {
        return { form: 'hstore', value: jsonOrBytesOf(value) }
      }
      return { form: 'text', value: yield* hstoreText(value) }
    case 'money[]': {
      const form = (yield* isNumbers(value)) ? 'numeric[]' : 'record'
      return { form, value: yield* recordText(types, argument.type, label, value) }
    }
    default:
      if (kind === 'hstore[]' && !isArray) throw noArray()
      return { form: 'record', value: yield* recordText(types, argument.type, label, value) }
  }
}

/** Whether it is an array of numbers and nulls, of so many dimensions at most. */
function* isNumbers(json: Json, dimensions = MAX_DIMENSIONS): Steps<boolean> {
  if (json.kind !== 'array' || dimensions === 0) return false
  const children = new Children(json)
  while (children.next()) {
    if (isSliceOver(STEP_BYTES)) yield
    const element = children.value
    if (element.kind === 'number' || element.kind === 'null') continue
    if (!(yield* isNumbers(element, dimensions - 1))) return false
  }
  return true
}

function noArray(): NoText {
  return new NoText('it is an object; send an array')
}
