import { Children, type Json } from '../../json/json.ts'
import { isSliceOver, STEP_BYTES, type Steps } from '../../json/slices.ts'
import { nameOf } from '../../json/text.ts'
import type { TypeShape, TypeShapes } from '../signatures/signature.ts'
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
  shape: Extract<TypeShape, { kind: 'composite' | 'hstore' }>
  /** It is an array of them. */
  isArray: boolean
}

/**
 * The text `{"label":value}`, of which json_to_record makes a value of the type. The value goes on as
 * it was written, but for what PostgreSQL reads in another way than callers mean it: an object for an
 * hstore, and an array without elements for a composite, which is how PHP writes an empty object.
 * @throws {NoText} for a member that is no attribute of its composite type
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
      this.#output.add(part.shape.kind === 'hstore' ? '""' : '{}')
      return
    }
    if (isArray) this.#output.add('[')
    if (part) yield* this.#fit(part, json)
    this.#output.addBytes(bytes, this.#written, inner)
    if (isArray) this.#output.add(']')
  }

  /** Changes what has to be another within a value; an array is one of further dimensions. */
  *#fit(part: Part, json: Json): Steps<void> {
    if (isSliceOver(STEP_BYTES)) yield
    if (json.kind === 'object') {
      if (part.shape.kind === 'hstore') yield* this.#replaceByHstore(json)
      else yield* this.#fitAttributes(part.type, part.shape.attributes, json)
    } else if (json.kind === 'array') {
      if (part.isArray) yield* this.#fitElements(part, json)
      else if (!hasElements(json)) this.#replace(json, part.shape.kind === 'hstore' ? '""' : '{}')
    }
  }

  *#fitElements(part: Part, array: Json): Steps<void> {
    const elements = new Children(array)
    let hasObjects: boolean | undefined
    while (elements.next()) {
      const element = elements.value
      if (element.kind === 'array' && !hasElements(element)) {
        // Beside objects it is one; else it is an array of the next dimension.
        hasObjects ??= yield* hasObject(array)
        if (hasObjects) yield* this.#fit({ ...part, isArray: false }, element)
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

/** Undefined for a type of which PostgreSQL does as callers mean it. */
function partOf(types: TypeShapes, type: string): Part | undefined {
  let isArray = false
  let name = type
  for (;;) {
    const shape = Object.hasOwn(types, name) ? types[name] : undefined
    if (!shape) return undefined
    if (shape.kind === 'composite' || shape.kind === 'hstore') return { type: name, shape, isArray }
    if (shape.kind === 'array') isArray = true
    name = shape.of
  }
}

function hasElements(array: Json): boolean {
  return new Children(array).next()
}

function* hasObject(array: Json): Steps<boolean> {
  const elements = new Children(array)
  while (elements.next()) {
    if (isSliceOver(STEP_BYTES)) yield
    if (elements.value.kind === 'object') return true
  }
  return false
}

function noAttribute(type: string, name: string, attributes: object): NoText {
  const names = Object.keys(attributes)
  const shown = names.slice(0, MAX_SHOWN).join(', ')
  const rest = names.length > MAX_SHOWN ? ', …' : ''
  return new NoText(
    `${typeLabel(type)} has no attribute "${name.slice(0, 80)}"; it has ${shown}${rest}`,
  )
}
