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

/**
 * Maximum length of an object that the gateway converts to an hstore; PostgreSQL converts longer
 * ones.
 */
const MAX_HSTORE_BYTES = 32 * 1024

/** A value and the form in which the SQL of the call receives it. */
export interface ValueText {
  /**
   * Form of `$n`:
   * - `text`: input of the type,
   * - `string`: a JSON string whose characters are the input,
   * - `record`: a JSON object with one member, named by the label, that json_to_record takes apart,
   * - `numeric`, `numeric[]`: the same, cast from numeric to the type,
   * - `json[]`, `array[]`: a JSON array with one element for each element of the value,
   * - `hstore`: a JSON object with one member for each pair.
   */
  form: 'text' | 'string' | 'record' | 'numeric' | 'numeric[]' | 'json[]' | 'array[]' | 'hstore'
  /** Null is SQL NULL; bytes are UTF-8. */
  value: string | Buffer | null
}

/**
 * Converts a JSON value that is a single text for PostgreSQL. Returns undefined for a value that
 * `structuredValue` has to convert.
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
  // The decimal separator in money input depends on lc_monetary; JSON always has a point.
  return { form: kind === 'money' && json.kind === 'number' ? 'numeric' : 'text', value: text }
}

/**
 * Converts a JSON array or object to the form that PostgreSQL reads.
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

/**
 * Returns whether a value is an array of numbers and nulls with at most `dimensions` dimensions.
 */
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
