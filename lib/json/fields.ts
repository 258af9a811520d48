import { Children, type Json } from './json.ts'
import { duplicateName, unknownName } from './known-names.ts'
import { nameOf } from './text.ts'

/** Members of an object, by name. */
export type Fields<Name extends string> = { [name in Name]?: Json }

/**
 * Returns the members of an object. Refuses unknown members and duplicates.
 * @param place describes the object in errors, such as `calls[1]`; undefined for the body
 * @param shown names that the error for an unknown member lists
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

/** Returns the name that equals the key byte for byte. Names are ASCII. */
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

/** Returns the name that equals the key after its escapes are resolved. */
function findDecoded<Name extends string>(key: Json, names: readonly Name[]): Name | undefined {
  const decoded = nameOf(key)
  return names.find((name) => name === decoded)
}
