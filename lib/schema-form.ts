import type { IncomingMessage, ServerResponse } from 'node:http'
import { Busboy, type BusboyInstance } from '@fastify/busboy'
import type { ArchiveLimits, SchemaArchive } from './archive/archive.ts'
import { readRecentArchive } from './archive/recent.ts'
import { admitBody, mediaType, onAborted, tooLarge } from './body.ts'
import type { DeployFlags } from './deploy/result.ts'
import { GatewayError } from './errors.ts'
import { type Asker, type Owner, parseOwner } from './names.ts'

/** What /register and /migrate are sent. */
export interface SchemaForm {
  owner: Owner
  archive: SchemaArchive
  flags: DeployFlags
  onError: 'stop' | 'continue'
}

export interface SchemaFormLimits extends ArchiveLimits {
  maxArchiveBytes: number
}

/** Room for the fields and the multipart headers around the archive. */
const OVERHEAD_BYTES = 64 * 1024
const MAX_FIELD_BYTES = 1024
const MAX_PARTS = 20
const ARCHIVE_FIELDS = new Set(['schema', 'file'])

/**
 * Reads the multipart form `platform`, `tenant_id`, `schema` (or `file`), and the optional `force`,
 * `repair`, `dry_run` and `on_error`.
 * @throws {GatewayError} unsupported_media_type, payload_too_large, invalid_request,
 *   platform_isolation_violation, schema_extraction_failed
 */
export async function readSchemaForm(
  req: IncomingMessage,
  res: ServerResponse,
  request: Asker,
  limits: SchemaFormLimits,
): Promise<SchemaForm> {
  const { fields, archive } = await readForm(req, res, limits.maxArchiveBytes)
  const owner = parseOwner(request, fields.get('platform'), fields.get('tenant_id'))
  if (!archive) {
    throw new GatewayError(
      'invalid_request',
      'schema is missing: the tar.gz of the postgresql folder, as a file',
    )
  }
  const flags = {
    force: parseFlag(fields, 'force'),
    repair: parseFlag(fields, 'repair'),
    dryRun: parseFlag(fields, 'dry_run'),
  }
  const onError = parseOnError(fields.get('on_error'))
  return { owner, flags, onError, archive: await readRecentArchive(archive, limits) }
}

function parseFlag(fields: Map<string, string>, name: string): boolean {
  const value = (fields.get(name) ?? '').toLowerCase()
  if (['true', '1', 'yes', 'on'].includes(value)) return true
  if (['false', '0', 'no', 'off', ''].includes(value)) return false
  throw new GatewayError('invalid_request', `${name} must be true or false; got "${value}"`)
}

function parseOnError(value = 'stop'): 'stop' | 'continue' {
  if (value === 'stop' || value === 'continue') return value
  throw new GatewayError('invalid_request', `on_error must be stop or continue; got "${value}"`)
}

interface Form {
  fields: Map<string, string>
  archive: Buffer | undefined
}

function readForm(req: IncomingMessage, res: ServerResponse, maxBytes: number): Promise<Form> {
  const type = mediaType(req)
  if (type !== 'multipart/form-data') {
    throw new GatewayError(
      'unsupported_media_type',
      `Content-Type is ${type || 'missing'}; send multipart/form-data`,
    )
  }
  admitBody(req, res, maxBytes + OVERHEAD_BYTES)
  return new Promise((resolve, reject) => {
    const form: Form = { fields: new Map(), archive: undefined }
    let error: GatewayError | undefined
    const fail = (reason: GatewayError) => {
      error ??= reason
    }
    const parser = newParser(req, maxBytes)

    parser.on('field', (name, value, nameTruncated, valueTruncated) => {
      if (nameTruncated || valueTruncated) {
        fail(new GatewayError('invalid_request', `${name} is longer than ${MAX_FIELD_BYTES} bytes`))
      }
      form.fields.set(name, value)
    })
    parser.on('file', (name, stream) => {
      const chunks: Buffer[] = []
      const isArchive = ARCHIVE_FIELDS.has(name) && form.archive === undefined
      stream.on('data', (chunk: Buffer) => isArchive && chunks.push(chunk))
      stream.on('limit', () => fail(tooLarge(maxBytes)))
      stream.on('end', () => {
        if (isArchive) form.archive = Buffer.concat(chunks)
      })
    })
    parser.on('partsLimit', () =>
      fail(new GatewayError('invalid_request', `The form has more than ${MAX_PARTS} parts`)),
    )
    parser.on('finish', () => (error ? reject(error) : resolve(form)))
    parser.on('error', (cause) => {
      req.unpipe(parser)
      req.resume()
      reject(
        new GatewayError(
          'invalid_request',
          `The body is not multipart/form-data: ${messageOf(cause)}`,
        ),
      )
    })

    let size = 0
    req.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= maxBytes + OVERHEAD_BYTES) return
      req.unpipe(parser)
      req.pause()
      res.setHeader('connection', 'close')
      reject(error ?? tooLarge(maxBytes))
    })
    onAborted(req, reject)
    req.pipe(parser)
  })
}

function newParser(req: IncomingMessage, maxBytes: number): BusboyInstance {
  try {
    return new Busboy({
      // Not every client gives the archive a filename.
      isPartAFile: (name, _type, fileName) =>
        fileName !== undefined || (name !== undefined && ARCHIVE_FIELDS.has(name)),
      headers: { ...req.headers, 'content-type': req.headers['content-type'] ?? '' },
      limits: {
        fieldSize: MAX_FIELD_BYTES,
        fileSize: maxBytes,
        fields: MAX_PARTS,
        files: MAX_PARTS,
        parts: MAX_PARTS,
        headerPairs: 20,
      },
    })
  } catch (error) {
    throw new GatewayError(
      'invalid_request',
      `The body is not multipart/form-data: ${messageOf(error)}`,
    )
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
