import { GatewayError } from '../../errors.ts'
import { elementsOf, type Json } from '../../json/json.ts'
import { nameOf } from '../../json/text.ts'
import { textOf } from '../../tenancy/names.ts'

/**
 * Parses the name of an existing database; the name is not changed.
 * @throws {GatewayError} invalid_request
 */
export function parseDatabaseName(value: Json | undefined): string {
  const name = textOf('database', value)
  if (name === '') throw new GatewayError('invalid_request', 'database is missing')
  if (Buffer.byteLength(name) <= MAX_DATABASE_BYTES && isName(name)) return name
  throw new GatewayError(
    'invalid_request',
    'database must be the name of a database, at most 63 bytes long',
  )
}

/** Longest name in PostgreSQL: NAMEDATALEN - 1. */
const MAX_DATABASE_BYTES = 63

/** Limit of files in one archive. */
const MAX_NAMES = 10_000

/**
 * Parses a list of migration file names; absent and null mean none.
 * @throws {GatewayError} invalid_request
 */
export function parseMigrationNames(value: Json | undefined): string[] {
  if (value === undefined || value.kind === 'null') return []
  const elements = value.kind === 'array' ? elementsOf(value) : undefined
  const areNames = elements?.every((one) => one.kind === 'string' && isName(nameOf(one)))
  if (elements && areNames && elements.length <= MAX_NAMES)
    return [...new Set(elements.map(nameOf))]
  throw new GatewayError(
    'invalid_request',
    'migrations must be an array of names of files, such as "001_people.pssql"',
  )
}

function isName(text: string): boolean {
  return /^[^\p{Cc}\p{Cs}]{1,255}$/u.test(text)
}
