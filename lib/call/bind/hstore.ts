import { Children, type Json } from '../../json/json.ts'
import { isSliceOver, STEP_BYTES, type Steps } from '../../json/slices.ts'
import { jsonOf } from '../../json/text.ts'
import { Output, stringText } from './text.ts'

/**
 * Converts a JSON object to hstore input (PostgreSQL manual, "hstore External Representation"). An
 * empty array is an empty hstore, because PHP encodes an empty object so. Every value becomes text.
 * Of several members with the same key the last one counts, as in json_to_record.
 * @throws {NoText} for a key or value that PostgreSQL text cannot contain
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
