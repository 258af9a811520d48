import { someOf } from '../common/shown.ts'
import { type ErrorDetails, GatewayError } from '../errors.ts'

/** The error of an archive that is not taken: `schema_extraction_failed`, HTTP 400. */
export function refusal(message: string, details?: ErrorDetails): GatewayError {
  return new GatewayError('schema_extraction_failed', message, details)
}

const SHOWN_CHARACTERS = 120

/** A name as messages show it: in quotes, control characters escaped, very long ones cut. */
export function quote(name: string): string {
  const cut = name.length > SHOWN_CHARACTERS
  return JSON.stringify(cut ? `${name.slice(0, SHOWN_CHARACTERS)}…` : name)
}

/** The first few of `names`, quoted, and how many more there are. */
export function quoteSome(names: string[], shown = 5): string {
  return someOf(names, shown, quote)
}
