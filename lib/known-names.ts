import { GatewayError } from './errors.ts'

/** More of a name is not repeated. */
const MAX_SHOWN = 80

/**
 * Refuses names that are not known: a field that is not read may be the one that says whose database
 * is meant.
 * @param what how the error calls a name: `member`, or `form field`
 * @param place what takes the names
 * @throws {GatewayError} invalid_request naming the first that is unknown, and those that exist
 */
export function checkNames(
  what: string,
  given: Iterable<string>,
  known: readonly string[],
  place = 'this endpoint',
): void {
  for (const name of given) {
    if (known.includes(name)) continue
    const shown = name.length > MAX_SHOWN ? `${name.slice(0, MAX_SHOWN)}…` : name
    throw new GatewayError(
      'invalid_request',
      `Unknown ${what} "${shown}": ${place} takes ${known.join(', ')}`,
    )
  }
}
