import { shown } from '../common/shown.ts'
import { GatewayError } from '../errors.ts'

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
  place?: string,
): void {
  for (const name of given) if (!known.includes(name)) throw unknownName(what, name, known, place)
}

/** The error of a name that is not known. */
export function unknownName(
  what: string,
  name: string,
  known: readonly string[],
  place = 'this endpoint',
): GatewayError {
  return new GatewayError(
    'invalid_request',
    `Unknown ${what} "${shown(name)}": ${place} takes ${known.join(', ') || 'none'}`,
  )
}

/** The error of a name that is given twice; `place`: ` in …`, or nothing. */
export function duplicateName(what: string, name: string, place = ''): GatewayError {
  return new GatewayError('invalid_request', `Duplicate ${what} "${shown(name)}"${place}`)
}
