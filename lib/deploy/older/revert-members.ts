import { GatewayError } from '../../errors.ts'
import { parseFlag } from '../../json/flag.ts'
import type { Json } from '../../json/json.ts'
import { jsonOf, nameOf } from '../../json/text.ts'
import { type Labels, parseLabelFilter } from '../../tenancy/labels.ts'
import { type Asker, type Owner, textOf } from '../../tenancy/names.ts'
import { OWNER_MEMBERS, parseScope } from '../../tenancy/owners.ts'
import { parseChecksum } from './revert.ts'

/** The members of POST /admin/revert. */
export const REVERT_MEMBERS = [
  ...OWNER_MEMBERS,
  'checksum',
  'dry_run',
  'on_error',
  'skip',
  'label',
  'progress',
] as const

/** What a request asks to take back, and how. */
export interface RevertMembers {
  /** Owner of one database, or of all databases of a platform or schema. */
  scope: Owner
  checksum: string
  dryRun: boolean
  onError: 'stop' | 'continue'
  /** Names of databases, or tenant ids. */
  skip: string[]
  labels: Labels
  /** Whether a stream of lines tells which databases are being deployed to. */
  isTold: boolean
}

/** @throws {GatewayError} invalid_request naming the member; platform_isolation_violation */
export function parseRevert(
  asker: Asker,
  body: { [member in (typeof REVERT_MEMBERS)[number]]?: Json | undefined },
): RevertMembers {
  refuseNone(body.tenant_id)
  const scope = parseScope(asker, body)
  const labels = parseLabelFilter(textOf('label', body.label))
  refuseFilter(scope, labels)
  return {
    scope,
    checksum: parseChecksum(body.checksum),
    dryRun: parseFlag('dry_run', body.dry_run),
    onError: parseOnError(body.on_error),
    skip: parseSkip(body.skip),
    labels,
    isTold: parseFlag('progress', body.progress),
  }
}

/** Refuses labels for a request that names a tenant. */
function refuseFilter({ tenantId }: Owner, labels: Labels): void {
  if (tenantId === null || Object.keys(labels).length === 0) return
  throw new GatewayError(
    'invalid_request',
    'label applies to a request to all databases: name no tenant',
  )
}

/** Refuses a tenant_id that names none: it could mean the main database, or all databases. */
function refuseNone(value: Json | undefined): void {
  const isNone =
    value?.kind === 'null' || (value?.kind === 'string' && ['', 'null'].includes(nameOf(value)))
  if (!isNone) return
  throw new GatewayError(
    'invalid_request',
    `tenant_id must name a tenant; got ${jsonOf(value)}. Leave it out to mean all databases of the platform; send "schema_name": "main" to mean its main database`,
  )
}

function parseOnError(value: Json | undefined): 'stop' | 'continue' {
  if (value === undefined) return 'stop'
  const text = value.kind === 'string' ? nameOf(value) : ''
  if (text === 'stop' || text === 'continue') return text
  throw new GatewayError('invalid_request', 'on_error must be "stop" or "continue"')
}

/** Returns names of databases, or tenant ids. */
function parseSkip(value: Json | undefined): string[] {
  const skip: unknown = value === undefined ? [] : JSON.parse(jsonOf(value))
  if (Array.isArray(skip) && skip.every((one) => typeof one === 'string')) return skip
  throw new GatewayError('invalid_request', 'skip must be an array of strings')
}
