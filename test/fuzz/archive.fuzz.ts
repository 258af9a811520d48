import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe } from 'vitest'
import { readArchive } from '../../lib/archive/archive.ts'
import { placeFiles } from '../../lib/archive/layout.ts'
import { readPax } from '../../lib/archive/pax.ts'
import { readTar } from '../../lib/archive/tar.ts'
import {
  BLOCK,
  hasChecksum,
  headerName,
  headerSize,
  headerType,
} from '../../lib/archive/tar-header.ts'
import { longNameEntry, paxEntry, paxRecord, sign, tar, tarEntry, tarFile } from '../helpers/tar.ts'
import { fuzz } from './fuzz.ts'
import { mutatedBytes, mutatedTexts } from './mutations.ts'

const LIMITS = { maxUnpackedBytes: 256 * 1024, maxEntries: 50 }

const NAME = 'postgresql/functions/a.sql'

/** One of each kind of header. */
const TARS = [
  tar(tarFile(NAME)),
  tar(tarFile('app/postgresql/migrations/1.sql', 'x'.repeat(600)), tarFile('app/README')),
  tar(paxEntry({ path: 'postgresql/views/größe.sql', size: '10' }), tarFile('short')),
  tar(paxEntry({ comment: 'for all' }, 'g'), tarEntry({ name: 'types/', type: '5' })),
  tar(longNameEntry(`postgresql/seeders/${'long/'.repeat(30)}a.sql`), tarFile('short')),
  tar(tarEntry({ name: 'functions/b.sql', prefix: 'postgresql', data: 'select 1' })),
  tar(tarEntry({ name: NAME, size: Buffer.from([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) })),
  tar(tarEntry({ name: 'link', type: '2' }), tarEntry({ name: 'tables', type: 'S' })),
]

/** With right checksums, as far as there are headers, so that what is changed is read at all. */
function signed(changed: Buffer): Buffer {
  for (let at = 0; at + BLOCK <= changed.length; ) {
    const header = changed.subarray(at, at + BLOCK)
    if (header[0] === 0) break
    sign(header)
    const size = headerSize(header) ?? 0
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK
  }
  return changed
}

const tars = fc
  .tuple(mutatedBytes(TARS), fc.nat(3))
  .map(([bytes, kind]) => (kind === 0 ? bytes : signed(bytes)))

describe('the archive reader', () => {
  fuzz('tar', tars, (bytes) => {
    const entries = readTar(bytes, LIMITS.maxEntries)
    const { files } = placeFiles(entries)
    for (const { path } of files) {
      const isInside = !path.startsWith('/') && !path.split('/').includes('..')
      if (!isInside || path.includes('\0')) throw new Error(`It took the path ${path}`)
    }
  })

  fuzz('tar header', mutatedBytes(TARS.map((one) => one.subarray(0, BLOCK))), (bytes) => {
    if (bytes.length < BLOCK) return
    const header = bytes.subarray(0, BLOCK)
    hasChecksum(header)
    headerType(header)
    headerName(header)
    const size = headerSize(header)
    if (size !== undefined && !(size >= 0)) throw new Error(`It read the size ${size}`)
  })

  const records = [
    paxRecord('path', 'postgresql/functions/größe = 1.sql'),
    Buffer.concat([paxRecord('size', '123'), paxRecord('mtime', '1.5')]),
    paxRecord('GNU.sparse.major', '1'),
    Buffer.alloc(0),
  ]
  fuzz('pax records', mutatedBytes(records), (bytes) => {
    const { size } = readPax(bytes, 'The header')
    if (size !== undefined && !(size >= 0)) throw new Error(`It read the size ${size}`)
  })

  const names = mutatedTexts([NAME, 'a/postgresql/views/x.sql', 'functions/', './tables/t.pgsql'])
  const entry = fc.record({ name: names, isFolder: fc.boolean() })
  fuzz('names and folders', fc.array(entry, { maxLength: 4 }), (entries) =>
    placeFiles(entries.map((one) => ({ ...one, data: new Uint8Array() }))),
  )

  const packed = TARS.map((one) => gzipSync(one))
  fuzz('gzip', mutatedBytes(packed), (bytes) => readArchive(bytes, LIMITS), { fewer: 20 })
  fuzz('tar in gzip', tars, (bytes) => readArchive(gzipSync(bytes, { level: 1 }), LIMITS), {
    fewer: 20,
  })
})
