import type { Readable } from 'node:stream'
import { Busboy, type BusboyInstance } from '@fastify/busboy'
import { GatewayError } from '../../errors.ts'
import { duplicateName } from '../../json/known-names.ts'
import { tooLarge } from './body.ts'

/** Content of a form. */
export interface Form {
  fields: Map<string, string>
  /** Field names of its files. */
  fileNames: string[]
  archive: Buffer | undefined
}

const MAX_FIELD_BYTES = 1024
/** Checked here: the parser does not limit names in a form with several parts. */
const MAX_FIELD_NAME = 100
const MAX_PARTS = 20
const MAX_HEADERS_OF_PART = 20
const MAX_HEADER_BYTES_OF_PART = 8 * 1024
const ARCHIVE_FIELDS = new Set(['schema', 'file'])

/**
 * Reads a multipart/form-data body (RFC 7578) with an archive of at most `maxBytes` bytes. A name
 * may occur only once, because it would be unclear which value counts.
 * @throws {GatewayError} invalid_request, payload_too_large
 */
export function readForm(body: Readable, contentType: string, maxBytes: number): Promise<Form> {
  return new Promise((resolve, reject) => {
    const form: Form = { fields: new Map(), fileNames: [], archive: undefined }
    let error: GatewayError | undefined
    const fail = (reason: GatewayError) => {
      error ??= reason
    }
    const parser = newParser(contentType, maxBytes)

    parser.on('field', (name: string | undefined, value, _nameTruncated, valueTruncated) => {
      if (name === undefined) return fail(unnamed())
      if (name.length > MAX_FIELD_NAME) fail(tooLong(`A field's name`, MAX_FIELD_NAME))
      else if (valueTruncated) fail(tooLong(name, MAX_FIELD_BYTES))
      else if (isThere(form, name)) fail(duplicateName('form field', name))
      form.fields.set(name, value)
    })
    parser.on('file', (name, stream) => {
      const isArchive = ARCHIVE_FIELDS.has(name)
      if (isThere(form, name)) fail(duplicateName('form field', name))
      else if (isArchive && form.fileNames.some((one) => ARCHIVE_FIELDS.has(one))) {
        fail(
          new GatewayError('invalid_request', 'schema and file are both given: send one of them'),
        )
      }
      form.fileNames.push(name)
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => isArchive && !error && chunks.push(chunk))
      // Emitted if the form ends within the file; without a listener it would end the process.
      stream.on('error', (cause) => fail(notMultipart(cause)))
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
      body.unpipe(parser)
      body.resume()
      reject(notMultipart(cause))
    })
    body.pipe(parser)
  })
}

function newParser(contentType: string, maxBytes: number): BusboyInstance {
  try {
    return new Busboy({
      // Some clients send the archive without a filename.
      isPartAFile: (name, _type, fileName) =>
        fileName !== undefined || (name !== undefined && ARCHIVE_FIELDS.has(name)),
      headers: { 'content-type': contentType },
      limits: {
        fieldSize: MAX_FIELD_BYTES,
        fileSize: maxBytes,
        fields: MAX_PARTS,
        files: MAX_PARTS,
        parts: MAX_PARTS,
        headerPairs: MAX_HEADERS_OF_PART,
        headerSize: MAX_HEADER_BYTES_OF_PART,
      },
    })
  } catch (error) {
    throw notMultipart(error)
  }
}

function isThere({ fields, fileNames }: Form, name: string): boolean {
  return fields.has(name) || fileNames.includes(name)
}

function unnamed(): GatewayError {
  return new GatewayError('invalid_request', 'A part of the form has no name')
}

function tooLong(what: string, maxBytes: number): GatewayError {
  return new GatewayError('invalid_request', `${what} is longer than ${maxBytes} bytes`)
}

function notMultipart(cause: unknown): GatewayError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new GatewayError('invalid_request', `The body is not multipart/form-data: ${why}`)
}
