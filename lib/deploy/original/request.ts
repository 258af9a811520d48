import { GatewayError } from '../../errors.ts'
import type { Fields } from '../../json/fields.ts'
import { parseFlag } from '../../json/flag.ts'
import type { Json } from '../../json/json.ts'
import { jsonOf } from '../../json/text.ts'
import { ALLOWANCES, type DeployFlags } from '../result.ts'
import { parseLosses } from './allow.ts'

/** Members of a /v2/* request, besides those that identify the database. */
export const V2_MEMBERS = [
  'force',
  'allow',
  'retry',
  'repair',
  'skip_verification',
  'cross_db_link',
] as const

/** Options of a /v2/* request. */
export interface V2Options {
  flags: DeployFlags
  /** The words of `allow`, for the audit trail. */
  allow: string[]
  force: boolean
  skipVerification: boolean
}

/**
 * Parses the options of a /v2/* request.
 * @throws {GatewayError} invalid_request naming the member
 */
export function parseV2Options(body: Fields<(typeof V2_MEMBERS)[number]>): V2Options {
  const { cross_db_link: link } = body
  if (link !== undefined && link.kind !== 'null') {
    throw new GatewayError(
      'invalid_request',
      'cross_db_link is not supported: the databases of a platform are kept apart. Leave it out',
    )
  }
  const force = parseFlag('force', body.force)
  const allow = parseWords(body.allow)
  return {
    force,
    allow,
    skipVerification: parseFlag('skip_verification', body.skip_verification),
    flags: {
      allow: new Set(force ? ALLOWANCES : []),
      losses: parseLosses(allow),
      keepsCode: true,
      repair: parseFlag('repair', body.repair),
      retry: parseFlag('retry', body.retry),
      dryRun: false,
      strict: false,
    },
  }
}

function parseWords(value: Json | undefined): string[] {
  if (value === undefined || value.kind === 'null') return []
  const words: unknown = JSON.parse(jsonOf(value))
  if (Array.isArray(words) && words.every((word) => typeof word === 'string')) return words
  throw new GatewayError('invalid_request', 'allow must be an array of strings')
}

/** Returns the fields of a request for the audit trail. */
export function describeV2(
  { allow, force, flags: { retry, repair } }: V2Options,
  schemaName: string,
  checksum: string,
) {
  return {
    stored_schema: schemaName,
    checksum,
    ...(force && { force: true }),
    ...(allow.length > 0 && { allow }),
    ...(retry && { retry }),
    ...(repair && { repair }),
  }
}
