import type { BoundCall } from '../../lib/call/bind/parameters.ts'
import type { Json } from '../../lib/json/json.ts'
import { scanNow } from '../../lib/json/scan.ts'

/** Parses a JSON text. */
export function jsonOfText(text: string): Json {
  return scanNow(Buffer.from(text))
}

/** Converts a JavaScript value to JSON. */
export function jsonOfValue(value: unknown): Json {
  return jsonOfText(JSON.stringify(value))
}

/** Returns the bound call; throws if the parameters were long enough to be bound in slices. */
export function boundNow(bound: BoundCall | Promise<BoundCall>): BoundCall {
  if (bound instanceof Promise) throw new Error('It was bound in slices')
  return bound
}
