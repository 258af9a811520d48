import { shown } from '../common/shown.ts'
import { GatewayError } from '../errors.ts'

/**
 * Refuses unknown names: an ignored field could be a misspelt one that names the database.
 * @param what word for a name in the error: `member` or `form field`
 * @param place endpoint or object that takes the names
 * @throws {GatewayError} invalid_request with the first unknown name and the known ones
 */
export function checkNames(
  what: string,
  given: Iterable<string>,
  known: readonly string[],
  place?: string,
): void {
  for (const name of given) if (!known.includes(name)) throw unknownName(what, name, known, place)
}

/** Returns the error for an unknown name. */
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

/**
 * Returns the error for a name that is given twice.
 * @param place ` in …`, or nothing
 */
export function duplicateName(what: string, name: string, place = ''): GatewayError {
  return new GatewayError('invalid_request', `Duplicate ${what} "${shown(name)}"${place}`)
}
