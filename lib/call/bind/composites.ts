import { Children, type Json } from '../../json/json.ts'
import { isSliceOver, STEP_BYTES, type Steps } from '../../json/slices.ts'
import { jsonOrBytesOf, nameOf } from '../../json/text.ts'
import type { TypeShape, TypeShapes } from '../signatures/signature.ts'
import { bytesText, isBytes, noBytes } from './bytes.ts'
import { hstoreText } from './hstore.ts'
import { NoText, Output } from './text.ts'
import { typeLabel } from './unconvertible.ts'

/** Maximum number of attributes that an error lists. */
const MAX_SHOWN = 20

/** Maximum length of an hstore object inside another value. An hstore parameter may be longer. */
const MAX_HSTORE_BYTES = 1024 * 1024

/** A type with JSON values that json_to_record does not convert as callers mean them. */
interface Part {
  type: string
  shape: Exclude<TypeShape, { kind: 'array' | 'domain' }>
  /** The value is an array of the type. */
  isArray: boolean
  /** The value is an array whose elements are a domain over an array of the type. */
  isOfArrays: boolean
}

/**
 * Writes the text `{"label":value}`, which json_to_record converts to the type. Copies the value
 * unchanged except where PostgreSQL reads JSON differently from what callers mean: an object for an
 * hstore, an array of integers for bytea, and an empty array for a composite (PHP encodes an empty
 * object as an empty array).
 * @throws {NoText} for a member that is not an attribute of its composite type, and for an invalid
 *   bytea
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
 * Writes a JSON array whose elements are separate values of the type. Converts each element as
 * recordText does.
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

/**
 * Copies JSON values to an output and replaces the parts that PostgreSQL would read differently.
 */
class Writer {
  readonly #types: TypeShapes
  readonly #output: Output
  /** Offset up to which the input has been written. */
  #written = 0

  constructor(types: TypeShapes, output: Output) {
    this.#types = types
    this.#output = output
  }

  *write(type: string, json: Json): Steps<void> {
    const { bytes, kind, start, end } = json
    const part = partOf(this.#types, type)
    // A slice of a larger array (VARIADIC) has no brackets of its own, so the writer adds them.
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

  /** Writes an array whose elements are values of the type; an element may be an array itself. */
  *writeElements(part: Part, array: Json): Steps<void> {
    // A slice of a larger array (VARIADIC) has no brackets of its own, so the writer adds them.
    this.#written = array.start + 1
    this.#output.add('[')
    const elements = new Children(array)
    while (elements.next()) yield* this.#fit(part, elements.value)
    this.#output.addBytes(array.bytes, this.#written, array.end - 1)
    this.#output.add(']')
  }

  /** Replaces the parts of a value that need it. A nested array is a further dimension. */
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
   * Decides what an empty array among the elements is. It is an empty object, unless the outer
   * array has further dimensions. If the elements may be arrays of any length, it is an empty
   * object only if other elements are objects.
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

  /** Copies null and text unchanged. */
  *#fitBytes(json: Json): Steps<void> {
    if (json.kind === 'string' || json.kind === 'null') return
    if (json.kind !== 'array') throw noBytes()
    this.#replace(json, JSON.stringify(yield* bytesText(json)))
  }

  /**
   * Converts one dimension of a bytea[] value. All bytea values must be in the innermost dimension:
   * PostgreSQL would take the JSON text of a deeper array for bytes.
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

/**
 * Returns whether a type is an array of composites or hstores, so that a JSON object is one
 * element.
 */
export function hasObjects(types: TypeShapes, type: string): boolean {
  const part = partOf(types, type)
  return part?.isArray === true && part.shape.kind !== 'bytea'
}

/** Looks a type up. Returns undefined for a type that PostgreSQL converts as callers mean it. */
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

/** Returns the JSON of an empty array where the type is not an array. */
function emptyText({ shape: { kind } }: Part): string {
  return kind === 'composite' ? '{}' : kind === 'hstore' ? '""' : '"\\\\x"'
}

function hasElements(array: Json): boolean {
  return new Children(array).next()
}

function hasObject(array: Json): Steps<boolean> {
  return hasElement(array, ({ kind }) => kind === 'object')
}

/** Returns whether an array has further dimensions: one of its elements is a non-empty array. */
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
  return new NoText('its nested arrays do not all have the same number of dimensions')
}

function noAttribute(type: string, name: string, attributes: object): NoText {
  const names = Object.keys(attributes)
  const shown = names.slice(0, MAX_SHOWN).join(', ')
  const rest = names.length > MAX_SHOWN ? ', …' : ''
  return new NoText(
    `${typeLabel(type)} has no attribute "${name.slice(0, 80)}"; it has ${shown}${rest}`,
  )
}
