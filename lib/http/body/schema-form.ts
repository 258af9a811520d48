import type { IncomingMessage, ServerResponse } from 'node:http'
import type { SchemaArchive } from '../../archive/archive.ts'
import { readRecentArchive } from '../../archive/recent.ts'
import type { Config } from '../../config.ts'
import { ALLOWANCES, type Allowance, type DeployFlags } from '../../deploy/result.ts'
import { GatewayError } from '../../errors.ts'
import { checkNames } from '../../json/known-names.ts'
import { type Labels, parseLabelFilter } from '../../tenancy/labels.ts'
import type { Asker, Owner } from '../../tenancy/names.ts'
import { parseNamedOwner, parseScope } from '../../tenancy/owners.ts'
import type { ByteBudget } from '../byte-budget.ts'
import { admitBody, mediaType, onAborted, onBodyFailed, stopBody, tooLarge } from './body.ts'
import { bodyBudgetExhausted } from './body-budget.ts'
import { refuseEncoding } from './body-encoding.ts'
import { type Form, readForm } from './multipart.ts'

/** Content of the form for /register and /migrate. */
export interface SchemaForm {
  owner: Owner
  archive: SchemaArchive
  /** The archive as a tar.gz. */
  packed: Uint8Array
  flags: DeployFlags
  onError: 'stop' | 'continue'
  /** Names or tenant ids of databases to leave out of a /migrate to all databases. */
  skip: string[]
  /** Labels that a tenant must have for a /migrate to all databases to include it. */
  labels: Labels
  /** Whether to migrate only databases where the last deploy or /migrate of this archive failed. */
  onlyFailed: boolean
  /** Name of the server for a new database; undefined: any. */
  server: string | undefined
  /** Whether a stream of lines tells which databases are being deployed to. */
  progress: boolean
}

/** Form fields of /register and /migrate. */
const DEPLOY_FIELDS = [
  'platform',
  'tenant_id',
  'schema',
  'file',
  'allow',
  'force',
  'repair',
  'retry',
  'dry_run',
  'strict',
  'schema_name',
  'uuid',
] as const
const REGISTER_FIELDS = [...DEPLOY_FIELDS, 'server'] as const
const MIGRATE_FIELDS = [...DEPLOY_FIELDS, 'on_error', 'skip', 'only', 'label', 'progress'] as const

/** The fields of an endpoint's form, and the parser of its owner. */
export interface FormOf {
  fields: readonly string[]
  parseOwner: typeof parseNamedOwner
}
export const REGISTER_FORM: FormOf = { fields: REGISTER_FIELDS, parseOwner: parseNamedOwner }
export const MIGRATE_FORM: FormOf = { fields: MIGRATE_FIELDS, parseOwner: parseScope }

/** Allowance for the fields and multipart headers around the archive. */
const OVERHEAD_BYTES = 64 * 1024

/**
 * Reads the multipart form of a deploy: `platform`, `tenant_id` (or `schema_name` and `uuid`),
 * `schema` (or `file`), and the optional fields that the endpoint takes.
 * @throws {GatewayError} unsupported_media_type, payload_too_large, invalid_request,
 *   platform_isolation_violation, schema_extraction_failed; pool_exhausted if the byte budget is
 *   exhausted
 */
export async function readSchemaForm(
  req: IncomingMessage,
  res: ServerResponse,
  request: Asker,
  { fields: names, parseOwner }: FormOf,
  config: Pick<Config, 'archive'>,
  budget: ByteBudget,
): Promise<SchemaForm> {
  const { fields, fileNames, archive } = await readArchiveForm(req, res, config, budget)
  checkNames('form field', [...fields.keys(), ...fileNames], names)
  const owner = parseOwner(request, Object.fromEntries(fields))
  if (!archive) {
    throw new GatewayError(
      'invalid_request',
      'schema is missing: the tar.gz of the postgresql folder, as a file',
    )
  }
  const flags = {
    allow: parseAllow(fields),
    repair: parseFlag(fields, 'repair'),
    retry: parseFlag(fields, 'retry'),
    dryRun: parseFlag(fields, 'dry_run'),
    strict: parseFlag(fields, 'strict'),
  }
  const onError = parseOnError(fields.get('on_error'))
  const skip = parseWords(fields.get('skip'))
  const onlyFailed = parseOnly(fields.get('only'))
  const label = fields.get('label')
  // More likely a variable without a value than a wish for all databases.
  if (label?.trim() === '') {
    throw new GatewayError('invalid_request', 'label is empty: leave it out for all databases')
  }
  const labels = parseLabelFilter(label)
  const isFiltered = skip.length > 0 || onlyFailed || Object.keys(labels).length > 0
  if (owner.tenantId !== null && isFiltered) {
    throw new GatewayError(
      'invalid_request',
      `skip, only and label apply to a /migrate to all databases: leave ${owner.schema === null ? 'tenant_id' : 'uuid'} out`,
    )
  }
  const read = await readRecentArchive(archive, config.archive)
  return {
    owner,
    flags,
    onError,
    skip,
    labels,
    onlyFailed,
    progress: parseFlag(fields, 'progress'),
    server: fields.get('server') || undefined,
    archive: read,
    packed: archive,
  }
}

function parseFlag(fields: Map<string, string>, name: string): boolean {
  const value = (fields.get(name) ?? '').toLowerCase()
  if (['true', '1', 'yes', 'on'].includes(value)) return true
  if (['false', '0', 'no', 'off', ''].includes(value)) return false
  throw new GatewayError('invalid_request', `${name} must be true or false; got "${value}"`)
}

/** Parses `allow`; `force` allows everything. */
function parseAllow(fields: Map<string, string>): Set<Allowance> {
  const allowed = parseWords(fields.get('allow'))
  const unknown = allowed.find((word) => !ALLOWANCES.includes(word as Allowance))
  if (unknown !== undefined) {
    throw new GatewayError(
      'invalid_request',
      `allow takes ${ALLOWANCES.join(', ')}, separated by commas; got "${unknown}"`,
    )
  }
  return new Set(parseFlag(fields, 'force') ? ALLOWANCES : (allowed as Allowance[]))
}

function parseWords(value = ''): string[] {
  const words = value.split(',').map((word) => word.trim())
  return words.filter((word) => word !== '')
}

function parseOnly(value = ''): boolean {
  if (value === 'failed' || value === '') return value === 'failed'
  throw new GatewayError('invalid_request', `only must be failed; got "${value}"`)
}

function parseOnError(value = 'stop'): 'stop' | 'continue' {
  if (value === 'stop' || value === 'continue') return value
  throw new GatewayError('invalid_request', `on_error must be stop or continue; got "${value}"`)
}

/**
 * Reads a multipart form that contains an archive.
 * @throws {GatewayError} unsupported_media_type, payload_too_large, invalid_request; pool_exhausted
 *   if the byte budget is exhausted
 */
export async function readArchiveForm(
  req: IncomingMessage,
  res: ServerResponse,
  { archive: { maxArchiveBytes } }: Pick<Config, 'archive'>,
  budget: ByteBudget,
): Promise<Form> {
  const type = mediaType(req)
  if (type !== 'multipart/form-data') {
    throw new GatewayError(
      'unsupported_media_type',
      `Content-Type is ${type || 'missing'}; send multipart/form-data`,
    )
  }
  refuseEncoding(req, res)
  const maxBytes = maxArchiveBytes + OVERHEAD_BYTES
  const bodyBudget = admitBody(req, res, maxBytes, budget)
  return new Promise((resolve, reject) => {
    let size = 0
    req.on('data', (chunk: Buffer) => {
      size += chunk.length
      const isTooLarge = size > maxBytes
      if (!isTooLarge && bodyBudget.grow(size)) return
      req.unpipe()
      stopBody(req, res)
      reject(isTooLarge ? tooLarge(maxArchiveBytes) : bodyBudgetExhausted(budget))
    })
    onAborted(req, reject)
    onBodyFailed(req, res, reject)
    readForm(req, req.headers['content-type']!, maxArchiveBytes).then(resolve, reject)
  })
}
