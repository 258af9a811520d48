import { Children, countOf, type Json } from '../../json/json.ts'
import { isSliceOver, STEP_BYTES, type Steps } from '../../json/slices.ts'
import { jsonOf } from '../../json/text.ts'
import { NoText } from './text.ts'

/**
 * Converts an array of integers to bytea input (PostgreSQL manual, "bytea Hex Format").
 * @throws {NoText} if an element is not an integer from 0 to 255
 */
export function* bytesText(array: Json): Steps<string> {
  const bytes = Buffer.alloc(countOf(array))
  const children = new Children(array)
  for (let i = 0; children.next(); i++) {
    if (isSliceOver(STEP_BYTES + children.end - children.start)) yield
    const element = children.value
    const byte = element.kind === 'number' ? Number(jsonOf(element)) : -1
    if (!Number.isInteger(byte) || byte < 0 || byte > 255) throw noBytes()
    bytes[i] = byte
  }
  return `\\x${bytes.toString('hex')}`
}

/**
 * Returns whether an element of a bytea[] value is one bytea: an array of numbers or an empty
 * array.
 */
export function isBytes(array: Json): boolean {
  const elements = new Children(array)
  return !elements.next() || elements.value.kind === 'number'
}

export function noBytes(): NoText {
  return new NoText('send bytes as hex text (\\x…) or as an array of integers from 0 to 255')
}
