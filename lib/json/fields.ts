import { Children, type Json } from './json.ts'
import { duplicateName, unknownName } from './known-names.ts'
import { nameOf } from './text.ts'

/** The members of an object that an endpoint takes. */
export type Fields<Name extends string> = { [name in Name]?: Json }

/**
 * The members of an object, which has no others than these, and none of them twice.
 * @param place what the object is, where it is not the body: `calls[1]`
 * @param shown those that the error of another one tells of
 * @throws {GatewayError} invalid_request naming the member
 */
export function fieldsOf<Name extends string>(
  object: Json,
  names: readonly Name[],
  place?: string,
  shown: readonly string[] = names,
): Fields<Name> {
  const fields: Fields<Name> = {}
  const children = new Children(object)
  while (children.next()) {
    const name = findName(object.bytes, children, names) ?? findDecoded(children.key, names)
    if (name === undefined) throw unknownName('member', nameOf(children.key), shown, place)
    if (fields[name]) throw duplicateName('member', name, place && ` in ${place}`)
    fields[name] = children.value
  }
  return fields
}

/** The name that a key is byte for byte; it is ASCII. */
function findName<Name extends string>(
  bytes: Buffer,
  { keyStart, keyEnd }: Children,
  names: readonly Name[],
): Name | undefined {
  const length = keyEnd - keyStart - 2
  search: for (const name of names) {
    if (name.length !== length) continue
    for (let i = 0; i < length; i++) {
      if (bytes[keyStart + 1 + i] !== name.charCodeAt(i)) continue search
    }
    return name
  }
  return undefined
}

/** The name that a key is once its escapes are resolved. */
function findDecoded<Name extends string>(key: Json, names: readonly Name[]): Name | undefined {
  const decoded = nameOf(key)
  return names.find((name) => name === decoded)
}
