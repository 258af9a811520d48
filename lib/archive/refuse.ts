import { someOf } from '../common/shown.ts'
import { type ErrorDetails, GatewayError } from '../errors.ts'

/** Returns the error for an invalid archive: `schema_extraction_failed`, HTTP 400. */
export function refusal(message: string, details?: ErrorDetails): GatewayError {
  return new GatewayError('schema_extraction_failed', message, details)
}

const SHOWN_CHARACTERS = 120

/** Returns a name for a message: quoted, control characters escaped, long names truncated. */
export function quote(name: string): string {
  const cut = name.length > SHOWN_CHARACTERS
  return JSON.stringify(cut ? `${name.slice(0, SHOWN_CHARACTERS)}…` : name)
}

/** Returns the first `shown` names, quoted, and the number of the others. */
export function quoteSome(names: string[], shown = 5): string {
  return someOf(names, shown, quote)
}
