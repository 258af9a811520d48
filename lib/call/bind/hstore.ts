import { Children, type Json } from '../../json/json.ts'
import { isSliceOver, STEP_BYTES, type Steps } from '../../json/slices.ts'
import { jsonOf } from '../../json/text.ts'
import { Output, stringText } from './text.ts'

/**
 * An object as an hstore (PostgreSQL manual, "hstore External Representation"); so is an array
 * without elements, which is how PHP writes one. All values of an hstore are text; of two values of
 * one key it has the last, as json_to_record does.
 * @throws {NoText} for a key or a value that PostgreSQL cannot hold
 */
export function* hstoreText(object: Json): Steps<string | Buffer> {
  const values = new Map<string, string | null>()
  const members = new Children(object)
  while (members.next()) {
    if (isSliceOver(STEP_BYTES + members.end - members.keyStart)) yield
    values.set(stringText(members.key), valueText(members.value))
  }
  const output = new Output()
  let comma = ''
  for (const [key, value] of values) {
    if (isSliceOver(STEP_BYTES + key.length + (value?.length ?? 0))) yield
    output.add(`${comma}${quoted(key)}=>${value === null ? 'NULL' : quoted(value)}`)
    comma = ','
  }
  return output.end()
}

function valueText(json: Json): string | null {
  if (json.kind === 'null') return null
  return json.kind === 'string' ? stringText(json) : jsonOf(json)
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}
