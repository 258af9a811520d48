import type { BoundCall } from '../../lib/call/bind/parameters.ts'
import type { Json } from '../../lib/json/json.ts'
import { scanNow } from '../../lib/json/scan.ts'

/** The value of a JSON text. */
export function jsonOfText(text: string): Json {
  return scanNow(Buffer.from(text))
}

/** The JSON of a JavaScript value. */
export function jsonOfValue(value: unknown): Json {
  return jsonOfText(JSON.stringify(value))
}

/** What was bound at once: the parameters were short. */
export function boundNow(bound: BoundCall | Promise<BoundCall>): BoundCall {
  if (bound instanceof Promise) throw new Error('It was bound in slices')
  return bound
}
