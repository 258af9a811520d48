import { Children, type Json } from '../../json/json.ts'
import { isSliceOver, STEP_BYTES, type Steps } from '../../json/slices.ts'
import { jsonOrBytesOf, nameOf } from '../../json/text.ts'
import type { TypeShape, TypeShapes } from '../signatures/signature.ts'
import { bytesText, isBytes, noBytes } from './bytes.ts'
import { hstoreText } from './hstore.ts'
import { NoText, Output } from './text.ts'
import { typeLabel } from './unconvertible.ts'

/** So many attributes are told. */
const MAX_SHOWN = 20

/** As a parameter of its own it may be longer. */
const MAX_HSTORE_BYTES = 1024 * 1024

/** A type of which PostgreSQL does not make a value out of every JSON that means one. */
interface Part {
  type: string
  shape: Exclude<TypeShape, { kind: 'array' | 'domain' }>
  /** It is an array of them. */
  isArray: boolean
  /** It is an array of a domain over arrays of them. */
  isOfArrays: boolean
}

/**
 * The text `{"label":value}`, of which json_to_record makes a value of the type. The value goes on as
 * it was written, but for what PostgreSQL reads in another way than callers mean it: an object for an
 * hstore, an array of integers for bytes, and an array without elements for a composite, which is how
 * PHP writes an empty object.
 * @throws {NoText} for a member that is no attribute of its composite type, and for what is no bytes
 */
export function* recordText(
  types: TypeShapes,
  type: string,
  label: string,
  json: Json,
): Steps<string | Buffer> {
  const output = new Output()
  output.add(`{${JSON.stringify(label)}:`)
  const writer = new Writer(types, output)
  yield* writer.write(type, json)
  output.add('}')
  return output.end()
}

/**
 * The text of a JSON array, each of whose elements is a value of the type by itself, and goes on as
 * in recordText.
 * @throws {NoText} as recordText
 */
export function* elementsText(
  types: TypeShapes,
  type: string,
  array: Json,
): Steps<string | Buffer> {
  const part = partOf(types, type)
  if (!part) return jsonOrBytesOf(array)
  const output = new Output()
  yield* new Writer(types, output).writeElements(part, array)
  return output.end()
}

/** Writes values, each as it was written but for what has to be another. */
class Writer {
  readonly #types: TypeShapes
  readonly #output: Output
  /** Up to where the bytes have been written. */
  #written = 0

  constructor(types: TypeShapes, output: Output) {
    this.#types = types
    this.#output = output
  }

  *write(type: string, json: Json): Steps<void> {
    const { bytes, kind, start, end } = json
    const part = partOf(this.#types, type)
    // The brackets of an array may be another's.
    const isArray = kind === 'array'
    this.#written = isArray ? start + 1 : start
    const inner = isArray ? end - 1 : end
    const isEmpty = isArray && part !== undefined && !part.isArray && !hasElements(json)
    if (isEmpty) {
      this.#output.add(emptyText(part))
      return
    }
    if (isArray) this.#output.add('[')
    if (part) yield* this.#fit(part, json)
    this.#output.addBytes(bytes, this.#written, inner)
    if (isArray) this.#output.add(']')
  }

  /** Writes an array of values of a type that may be arrays themselves. */
  *writeElements(part: Part, array: Json): Steps<void> {
    // The brackets may be another's.
    this.#written = array.start + 1
    this.#output.add('[')
    const elements = new Children(array)
    while (elements.next()) yield* this.#fit(part, elements.value)
    this.#output.addBytes(array.bytes, this.#written, array.end - 1)
    this.#output.add(']')
  }

  /** Changes what has to be another within a value; an array is one of further dimensions. */
  *#fit(part: Part, json: Json): Steps<void> {
    if (isSliceOver(STEP_BYTES)) yield
    if (part.shape.kind === 'bytea') {
      if (!part.isArray) yield* this.#fitBytes(json)
      else if (json.kind === 'array') yield* this.#fitDimension(json, 1, {})
    } else if (json.kind === 'object') {
      if (part.shape.kind === 'hstore') yield* this.#replaceByHstore(json)
      else yield* this.#fitAttributes(part.type, part.shape.attributes, json)
    } else if (json.kind === 'array') {
      if (part.isArray) yield* this.#fitElements(part, json)
      else if (!hasElements(json)) this.#replace(json, emptyText(part))
    }
  }

  /**
   * An element without elements of its own is an object, unless the array has further dimensions. Of
   * an array whose elements may be arrays of any length, it is one only beside objects.
   */
  *#fitElements(part: Part, array: Json): Steps<void> {
    const elements = new Children(array)
    let isObject: boolean | undefined
    while (elements.next()) {
      const element = elements.value
      if (element.kind === 'array' && !hasElements(element)) {
        isObject ??= part.isOfArrays ? yield* hasObject(array) : !(yield* hasDimension(array))
        if (isObject) yield* this.#fit({ ...part, isArray: false }, element)
      } else {
        yield* this.#fit(part, element)
      }
    }
  }

  *#fitAttributes(type: string, attributes: { [name: string]: string }, object: Json): Steps<void> {
    const members = new Children(object)
    while (members.next()) {
      if (isSliceOver(STEP_BYTES + members.end - members.keyStart)) yield
      const name = nameOf(members.key)
      if (!Object.hasOwn(attributes, name)) throw noAttribute(type, name, attributes)
      const part = partOf(this.#types, attributes[name]!)
      if (part) yield* this.#fit(part, members.value)
    }
  }

  /** Null and text go on as they are. */
  *#fitBytes(json: Json): Steps<void> {
    if (json.kind === 'string' || json.kind === 'null') return
    if (json.kind !== 'array') throw noBytes()
    this.#replace(json, JSON.stringify(yield* bytesText(json)))
  }

  /**
   * One dimension of an array of bytes. All bytes are in the last one: of an array that is behind
   * them PostgreSQL would take the JSON text for bytes.
   */
  *#fitDimension(array: Json, dimension: number, last: { dimension?: number }): Steps<void> {
    const elements = new Children(array)
    while (elements.next()) {
      if (isSliceOver(STEP_BYTES + elements.end - elements.start)) yield
      const element = elements.value
      if (element.kind === 'array' && !isBytes(element)) {
        if (dimension >= (last.dimension ?? Infinity)) throw unevenDimensions()
        yield* this.#fitDimension(element, dimension + 1, last)
      } else {
        last.dimension ??= dimension
        if (dimension !== last.dimension) throw unevenDimensions()
        yield* this.#fitBytes(element)
      }
    }
  }

  *#replaceByHstore(object: Json): Steps<void> {
    if (object.end - object.start > MAX_HSTORE_BYTES) {
      throw new NoText(`an hstore within another value is longer than ${MAX_HSTORE_BYTES} bytes`)
    }
    const text = yield* hstoreText(object)
    this.#replace(object, JSON.stringify(text.toString()))
  }

  #replace({ bytes, start, end }: Json, text: string): void {
    this.#output.addBytes(bytes, this.#written, start)
    this.#output.add(text)
    this.#written = end
  }
}

/** Whether a type is an array of composites or hstores: a JSON object is one of its elements. */
export function hasObjects(types: TypeShapes, type: string): boolean {
  const part = partOf(types, type)
  return part?.isArray === true && part.shape.kind !== 'bytea'
}

/** Undefined for a type of which PostgreSQL does as callers mean it. */
function partOf(types: TypeShapes, type: string): Part | undefined {
  let arrays = 0
  let name = type
  for (;;) {
    const shape = Object.hasOwn(types, name) ? types[name] : undefined
    if (!shape) return undefined
    if (!('of' in shape)) return { type: name, shape, isArray: arrays > 0, isOfArrays: arrays > 1 }
    if (shape.kind === 'array') arrays++
    name = shape.of
  }
}

/** What an array without elements is as one value of the type. */
function emptyText({ shape: { kind } }: Part): string {
  return kind === 'composite' ? '{}' : kind === 'hstore' ? '""' : '"\\\\x"'
}

function hasElements(array: Json): boolean {
  return new Children(array).next()
}

function hasObject(array: Json): Steps<boolean> {
  return hasElement(array, ({ kind }) => kind === 'object')
}

/** Whether an array has further dimensions: one of its elements is an array with elements. */
function hasDimension(array: Json): Steps<boolean> {
  return hasElement(array, (element) => element.kind === 'array' && hasElements(element))
}

function* hasElement(array: Json, isOne: (element: Json) => boolean): Steps<boolean> {
  const elements = new Children(array)
  while (elements.next()) {
    if (isSliceOver(STEP_BYTES)) yield
    if (isOne(elements.value)) return true
  }
  return false
}

function unevenDimensions(): NoText {
  return new NoText('arrays within it are not all of the same dimensions')
}

function noAttribute(type: string, name: string, attributes: object): NoText {
  const names = Object.keys(attributes)
  const shown = names.slice(0, MAX_SHOWN).join(', ')
  const rest = names.length > MAX_SHOWN ? ', …' : ''
  return new NoText(
    `${typeLabel(type)} has no attribute "${name.slice(0, 80)}"; it has ${shown}${rest}`,
  )
}
