import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createGzip } from 'node:zlib'
import { expect } from 'vitest'
import { readArchive, type SchemaArchive, SECTIONS } from '../../../../lib/archive/archive.ts'
import { GatewayError } from '../../../../lib/errors.ts'
import { paxEntry, tarFile, tarGz } from '../../../helpers/tar.ts'

export const MIB = 1024 * 1024

export const LIMITS = { maxUnpackedBytes: 8 * MIB, maxEntries: 1000 }

export const FOLDER = 'a_rather_long_folder_name/'

export const SAMPLE: Record<string, string> = {
  'migrations/001_init.pssql': 'create table todo (id bigint);\n',
  'functions/größe = 1.pssql': "select 'Grüße';\n",
  [`functions/${FOLDER.repeat(4)}long.pssql`]: 'select 1;\n',
  [`functions/${FOLDER.repeat(8)}longer.pssql`]: 'select 2;\n',
  'seeders/empty.sql': '',
}

export const read = (bytes: Uint8Array, limits = LIMITS) => readArchive(bytes, limits)

/** The error that the archive is refused with; fails for any other outcome. */
export async function refusalOf(bytes: Uint8Array, limits = LIMITS): Promise<GatewayError> {
  const error = await read(bytes, limits).then(
    () => expect.fail('the archive was taken'),
    (error: unknown) => error,
  )
  if (!(error instanceof GatewayError)) throw error
  expect(error.code).toBe('schema_extraction_failed')
  expect(error.status).toBe(400)
  return error
}

export const allFiles = (archive: SchemaArchive) =>
  SECTIONS.flatMap((section) => archive.files[section])

export const allPaths = (archive: SchemaArchive) => allFiles(archive).map((file) => file.path)

export const textByPath = (archive: SchemaArchive) =>
  Object.fromEntries(allFiles(archive).map((file) => [file.path, file.text]))

export const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

export const A_FILE = tarFile('postgresql/functions/a.sql')

export const readFixture = (name: string) =>
  readFileSync(new URL(`../../../fixtures/archives/${name}.tar.gz`, import.meta.url))

/** The sample by hand, in the order of `paths`. */
export function sampleGz(
  paths = Object.keys(SAMPLE),
  text = (path: string) => SAMPLE[path]!,
): Buffer {
  const entries = paths.map((path) =>
    Buffer.concat([paxEntry({ path: `postgresql/${path}` }), tarFile('cut', text(path))]),
  )
  return tarGz(...entries)
}

export function withByte(bytes: Buffer, index: number, change: (byte: number) => number): Buffer {
  const copy = Buffer.from(bytes)
  copy[index] = change(copy[index]!)
  return copy
}

export function base256(value: number): Buffer {
  const field = Buffer.alloc(12)
  field[0] = 0x80
  field.writeUInt32BE(value, 8)
  return field
}

export async function zerosGz(size: number): Promise<Buffer> {
  const gzip = createGzip({ level: 1, chunkSize: MIB })
  const chunks: Buffer[] = []
  gzip.on('data', (chunk: Buffer) => chunks.push(chunk))
  const zeros = Buffer.alloc(MIB)
  for (let written = 0; written < size; written += MIB) {
    if (!gzip.write(zeros)) await once(gzip, 'drain')
  }
  gzip.end()
  await once(gzip, 'end')
  return Buffer.concat(chunks)
}

export type Random = (below: number) => number

/** Numbers that are the same in every run (mulberry32). */
export function randomFrom(seed: number): Random {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

export function headerOffsets(bytes: Buffer): number[] {
  const offsets: number[] = []
  for (let offset = 0; offset < bytes.length; offset += 512) {
    if (bytes.toString('latin1', offset + 257, offset + 262) === 'ustar') offsets.push(offset)
  }
  return offsets
}
