import { isNumber, type JsonValue, jsonText, numberText } from '../../json.ts'
import type { ArgumentKind } from '../signature.ts'

/** PostgreSQL's MAXDIM. */
const MAX_DIMENSIONS = 6

/** How a value stands in the SQL of a call. */
export interface ValueText {
  /**
   * What `$n` is: the value as its type writes it, JSON that PostgreSQL takes apart, or one of
   * these types, of which a cast makes the value.
   */
  form: 'text' | 'record' | 'numeric' | 'numeric[]'
  /** Null is SQL NULL. */
  value: string | null
}

/** Why no text of PostgreSQL is a value, as its message. */
export class NoText extends Error {}

/**
 * A JSON value as PostgreSQL reads it. A record is an object whose one key is the label; see
 * `valueSql`.
 * @throws {NoText}
 */
export function valueText(kind: ArgumentKind, label: string, value: JsonValue): ValueText {
  if (value === null) return { form: 'text', value }
  if (typeof value !== 'object') return { form: formOf(kind, value), value: text(kind, value) }
  if (kind === 'money[]' && isNumbers(value)) {
    return { form: 'numeric[]', value: arrayText(value, scalarText, MAX_DIMENSIONS) }
  }
  return kind === 'structured' || kind === 'money[]'
    ? { form: 'record', value: `{${JSON.stringify(label)}:${json(value)}}` }
    : { form: 'text', value: text(kind, value) }
}

/** Money as text has a decimal point, or a comma, as lc_monetary says; JSON has a point. */
function formOf(kind: ArgumentKind, value: JsonValue): 'text' | 'numeric' {
  return kind === 'money' && isNumber(value) ? 'numeric' : 'text'
}

function isNumbers(value: JsonValue, dimensions = MAX_DIMENSIONS): boolean {
  return Array.isArray(value)
    ? dimensions > 0 && value.every((element) => isNumbers(element, dimensions - 1))
    : value === null || isNumber(value)
}

function text(kind: ArgumentKind, value: Exclude<JsonValue, null>): string {
  switch (kind) {
    case 'json':
      return json(value)
    case 'json[]':
      return arrayText(value, json)
    case 'hstore[]':
      return arrayText(value, hstoreText, MAX_DIMENSIONS)
    case 'array[]':
      return arrayText(value, (inner) => arrayText(inner, scalarText, MAX_DIMENSIONS))
    case 'hstore':
      return hstoreText(value)
    default:
      return scalarText(value)
  }
}

function scalarText(value: JsonValue): string {
  if (isNumber(value)) return numberText(value)
  return typeof value === 'object' ? json(value) : checked(String(value))
}

/**
 * An array as PostgreSQL writes it (manual, "Array Input and Output Syntax"); nothing in it is left
 * without quotes. Arrays within it are further dimensions, up to so many, and then elements.
 */
function arrayText(
  value: JsonValue,
  elementText: (value: JsonValue) => string,
  dimensions = 1,
): string {
  if (!Array.isArray(value)) return arrayLiteral(value)
  const elements = value.map((element) => {
    if (element === null) return 'NULL'
    return dimensions > 1 && Array.isArray(element)
      ? arrayText(element, elementText, dimensions - 1)
      : quoted(elementText(element))
  })
  return `{${elements.join(',')}}`
}

/** A caller may write it like that, too: `"{1,2}"`. */
function arrayLiteral(value: JsonValue): string {
  if (typeof value === 'object') throw new NoText('it is an object; send an array')
  return scalarText(value)
}

/** PostgreSQL manual, "hstore External Representation". All values of an hstore are text. */
function hstoreText(value: JsonValue): string {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return scalarText(value)
  const pairs = Object.keys(value).map((key) => {
    const one = value[key]!
    return `${quoted(checked(key))}=>${one === null ? 'NULL' : quoted(scalarText(one))}`
  })
  return pairs.join(',')
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}

function json(value: JsonValue): string {
  try {
    return jsonText(value)
  } catch {
    throw new NoText('it is nested too deeply')
  }
}

function checked(text: string): string {
  if (text.includes('\0')) throw new NoText('PostgreSQL text holds no NUL character')
  if (!text.isWellFormed()) throw new NoText('it holds half a surrogate pair')
  return text
}
