import { gzipSync } from 'node:zlib'
import { describe, expect, test, vi } from 'vitest'
import { GatewayError } from '../../../../lib/errors.ts'
import {
  longNameEntry,
  paxEntry,
  paxRecord,
  sign,
  sum,
  tar,
  tarEntry,
  tarFile,
  tarGz,
} from '../../../helpers/tar.ts'

import {
  A_FILE,
  allPaths,
  base256,
  headerOffsets,
  LIMITS,
  MIB,
  type Random,
  randomFrom,
  read,
  refusalOf,
  textByPath,
  withByte,
  zerosGz,
} from './setup.ts'

/** Milliseconds of CPU since `start`: other files run at the same time. */
function cpuMs(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000
}

describe('gzip', () => {
  const whole = tarGz(A_FILE)

  test.each([
    ['nothing', Buffer.alloc(0), 'The archive is empty: 0 bytes were sent'],
    [
      'text',
      Buffer.from('select 1'),
      'Not a gzip file: it does not start with 1f 8b; send a .tar.gz',
    ],
    ['a zip file', Buffer.from('PK\x03\x04'), 'Not a gzip file: it looks like a zip file'],
    ['an xz file', Buffer.from('\xfd7zXZ\0', 'latin1'), 'it looks like an xz file'],
    ['a zstd file', Buffer.from('28b52ffd', 'hex'), 'it looks like a zstd file'],
    ['a plain tar', tar(A_FILE), 'it looks like a tar that is not compressed'],
    ['one byte', Buffer.from([0x1f]), 'Not a gzip file'],
    ['two bytes', Buffer.from([0x1f, 0x8b]), 'truncated'],
    ['half a gzip', whole.subarray(0, whole.length / 2), 'The gzip file is truncated'],
    ['a gzip without its last byte', whole.subarray(0, -1), 'The gzip file is truncated'],
    ['garbage behind it', Buffer.concat([whole, Buffer.from('--x\n')]), 'followed by other data'],
    [
      'garbage behind padding',
      Buffer.concat([whole, Buffer.from('\0x')]),
      'followed by other data',
    ],
    ['a wrong sum', withByte(whole, whole.length - 8, (byte) => byte ^ 1), 'is damaged'],
    ['an unknown method', withByte(whole, 2, () => 9), 'The gzip file is damaged'],
  ])('%s: refused', async (_, bytes, message) => {
    expect((await refusalOf(bytes)).message).toContain(message)
  })

  test('of several members, padded with zeros, is whole', async () => {
    const bytes = tar(A_FILE)
    const members = [gzipSync(bytes.subarray(0, 700)), gzipSync(''), gzipSync(bytes.subarray(700))]
    const archive = await read(Buffer.concat([...members, Buffer.alloc(100)]))
    expect(allPaths(archive)).toEqual(['functions/a.sql'])
  })

  test('in the middle of a larger buffer is read alone', async () => {
    const around = Buffer.concat([Buffer.from('before'), whole, Buffer.from('after')])
    const archive = await read(new Uint8Array(around.buffer, around.byteOffset + 6, whole.length))
    expect(allPaths(archive)).toEqual(['functions/a.sql'])
  })
})

describe('tar', () => {
  const two = tar(A_FILE, tarFile('postgresql/functions/b.sql', 'x'.repeat(1000)))

  test.each([
    ['text', Buffer.from('select 1;\n'), 'Not a tar'],
    ['a long text', Buffer.from('select 1;\n'.repeat(100)), 'Not a tar'],
    ['a wrong checksum', withByte(two, 1024 + 105, (b) => b ^ 1), 'header of entry 2 has a wrong'],
    ['a cut header', two.subarray(0, 1024 + 300), 'truncated within the header of entry 2'],
    [
      'cut data',
      two.subarray(0, 1024 + 512 + 999),
      '"postgresql/functions/b.sql" needs 1024 bytes',
    ],
    ['cut padding', two.subarray(0, 1024 + 512 + 1023), 'needs 1024 bytes, 1023 are left'],
    ['data after its end', Buffer.concat([two, A_FILE]), 'The tar is followed by other data'],
    ['data after one zero block', tarAfterZeroBlock(), 'The tar is followed by other data'],
    ['a pax header at its end', tar(A_FILE, paxEntry({ path: 'x' })), 'a missing entry'],
    ['a long name at its end', tar(A_FILE, longNameEntry('x')), 'a missing entry'],
  ])('%s: refused', async (_, bytes, message) => {
    expect((await refusalOf(gzipSync(bytes))).message).toContain(message)
  })

  function tarAfterZeroBlock(): Buffer {
    return tar(A_FILE, Buffer.alloc(512), tarFile('postgresql/functions/b.sql'))
  }

  test.each([
    ['no end blocks', Buffer.from(two.subarray(0, -1024))],
    ['one end block', Buffer.from(two.subarray(0, -512))],
    ['many end blocks', Buffer.concat([two, Buffer.alloc(20 * 512 + 1)])],
  ])('%s: taken', async (_, bytes) => {
    const archive = await read(gzipSync(bytes))
    expect(textByPath(archive)['functions/b.sql']).toBe('x'.repeat(1000))
  })

  test('an empty file as the very last block is not lost', async () => {
    const archive = await read(
      gzipSync(Buffer.concat([A_FILE, tarEntry({ name: 'postgresql/functions/b.sql' })])),
    )
    expect(textByPath(archive)['functions/b.sql']).toBe('')
  })

  test('a checksum that was summed with signed bytes is right', async () => {
    const signed = (header: Buffer) => sum(header) - 256 * header.filter((b) => b > 127).length
    const archive = await read(
      tarGz(tarEntry({ name: 'postgresql/functions/ü.sql', checksum: signed })),
    )
    expect(allPaths(archive)).toEqual(['functions/ü.sql'])
  })

  test.each([
    ['in base 256', base256(300)],
    ['padded with spaces', '        454 '],
    ['padded with NULs', '454\0\0\0\0\0\0\0\0\0'],
    ['in twelve digits', '000000000454'],
  ])('a size %s is read', async (_, size) => {
    const entry = tarEntry({ name: 'postgresql/functions/b.sql', size, data: 'y'.repeat(300) })
    const archive = await read(tarGz(entry, A_FILE))
    expect(textByPath(archive)['functions/b.sql']).toBe('y'.repeat(300))
    expect(allPaths(archive)).toHaveLength(2)
  })

  test('a pax size is stronger than the header', async () => {
    const entry = tarEntry({
      name: 'postgresql/functions/b.sql',
      size: '00000000000\0',
      data: 'y'.repeat(600),
    })
    const archive = await read(tarGz(paxEntry({ size: '600' }), entry, A_FILE))
    expect(textByPath(archive)['functions/b.sql']).toBe('y'.repeat(600))
    expect(allPaths(archive)).toHaveLength(2)
  })

  test.each([
    ['letters', 'abc\0', 'is not a number'],
    ['negative', '-1\0', 'is not a number'],
    ['negative in base 256', Buffer.alloc(12, 0xff), 'is not a number'],
    ['8 GiB', '77777777777\0', 'truncated'],
    ['2^88 in base 256', Buffer.from([0x80, ...Array(11).fill(0xff)]), 'truncated'],
  ])('a size of %s: refused', async (_, size, message) => {
    const entry = tarEntry({ name: 'postgresql/functions/b.sql', size })
    expect((await refusalOf(tarGz(A_FILE, entry))).message).toContain(message)
    const metadata = tarEntry({ name: 'x', type: 'x', size })
    expect((await refusalOf(tarGz(metadata, A_FILE))).message).toContain(message)
  })

  test.each([
    ['no length', 'path=x\n'],
    ['a length that is too long', '99 path=x\n'],
    ['a length that is too short', '5 path=x\n'],
    ['a length of nothing', '0 path=x\n'],
    ['a huge length', `${'9'.repeat(400)} path=x\n`],
    ['no line end', '9 path=x-'],
    ['no keyword', '5 =x\n'],
    ['no equals sign', '9 path x\n'],
    ['padding', `${paxRecord('path', 'x')}\0\0\0`],
    ['a size with letters', paxRecord('size', '0x10').toString()],
    ['a negative size', paxRecord('size', '-512').toString()],
  ])('a pax header with %s: refused', async (_, data) => {
    const error = await refusalOf(tarGz(tarEntry({ name: 'x', type: 'x', data }), A_FILE))
    expect(error.message).toContain('The pax header (entry 1) is malformed')
    const second = tarEntry({ name: 'x', type: 'x', data: paxRecord('mtime', '1') + data })
    expect((await refusalOf(tarGz(second, A_FILE))).message).toContain('malformed')
  })

  test('a reader that sees it otherwise: refused', async () => {
    vi.resetModules()
    vi.doMock('nanotar', () => ({ parseTar: () => [] }))
    const { readArchive } = await import('../../../../lib/archive/archive.ts')
    vi.doUnmock('nanotar')
    await expect(readArchive(tarGz(A_FILE), LIMITS)).rejects.toMatchObject({
      code: 'schema_extraction_failed',
      message: 'The tar is ambiguous: two readers find different entries in it',
    })
  })
})

describe('limits', () => {
  test('an archive just within both is taken, one over is refused', async () => {
    const bytes = tarGz(A_FILE, A_FILE, paxEntry({ comment: 'x' }), A_FILE)
    const limits = { maxUnpackedBytes: 5120, maxEntries: 4 }
    expect(allPaths(await read(bytes, limits))).toEqual(['functions/a.sql'])
    const size = await refusalOf(bytes, { ...limits, maxUnpackedBytes: 5119 })
    expect(size.message).toBe('The archive unpacks to more than 5119 bytes (MAX_UNPACKED_BYTES)')
    const entries = await refusalOf(bytes, { ...limits, maxEntries: 3 })
    expect(entries.message).toBe('The archive has more than 3 entries (MAX_ARCHIVE_ENTRIES)')
  })

  test('entries are counted on the way, not at the end', async () => {
    const bytes = tarGz(...Array<Buffer>(11).fill(A_FILE), Buffer.alloc(512, 'garbage'))
    const error = await refusalOf(bytes, { ...LIMITS, maxEntries: 10 })
    expect(error.message).toContain('MAX_ARCHIVE_ENTRIES')
  })

  test('a gigabyte of zeros stops at the limit, in time and in memory', async () => {
    const bomb = await zerosGz(1024 * MIB)
    expect(bomb.length).toBeLessThan(8 * MIB)
    const limits = { maxUnpackedBytes: 64 * MIB, maxEntries: 1000 }
    const before = process.memoryUsage.rss()
    let peak = before
    const timer = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage.rss())
    }, 5)
    const start = process.cpuUsage()
    const error = await refusalOf(bomb, limits)
    clearInterval(timer)
    peak = Math.max(peak, process.memoryUsage.rss())
    expect(error.message).toContain('more than 67108864 bytes (MAX_UNPACKED_BYTES)')
    expect(cpuMs(start)).toBeLessThan(3000)
    expect(peak - before).toBeLessThan((64 + 64) * MIB)
  })

  test('a million entries stop at whichever limit comes first', async () => {
    const header = tarEntry({ name: 'postgresql/functions/a.sql' })
    const member = gzipSync(Buffer.alloc(2 ** 16 * 512, header), { level: 1 })
    const million = Buffer.concat(Array<Buffer>(16).fill(member))
    const start = process.cpuUsage()
    const size = await refusalOf(million, { maxUnpackedBytes: 16 * MIB, maxEntries: 10_000 })
    expect(size.message).toContain('MAX_UNPACKED_BYTES')
    const entries = await refusalOf(member, { maxUnpackedBytes: 64 * MIB, maxEntries: 10_000 })
    expect(entries.message).toContain('more than 10000 entries')
    expect(cpuMs(start)).toBeLessThan(3000)
  })

  test('a metadata entry of megabytes is refused', async () => {
    const data = Buffer.alloc(MIB + 1, '\n')
    for (const type of ['x', 'g', 'L']) {
      const error = await refusalOf(tarGz(tarEntry({ name: 'x', type, data }), A_FILE))
      expect(error.message).toContain('has 1048577 bytes, more than 1048576')
    }
  })

  test('many global records before many entries take no time', async () => {
    const records = Array.from({ length: 60_000 }, (_, i) => paxRecord(`k${i}`, 'v'))
    const global = tarEntry({ name: 'g', type: 'g', data: Buffer.concat(records) })
    const files = Array.from({ length: 900 }, (_, i) => tarFile(`postgresql/functions/${i}.sql`))
    const start = process.cpuUsage()
    expect(allPaths(await read(tarGz(global, ...files)))).toHaveLength(900)
    expect(cpuMs(start)).toBeLessThan(2000)
  })
})

describe('thousands of broken archives', () => {
  const whole = tar(
    paxEntry({ comment: 'global' }, 'g'),
    tarEntry({ name: 'postgresql/', type: '5' }),
    paxEntry({ path: 'postgresql/functions/ü 1=2.sql', mtime: '1.5', size: '11' }),
    tarFile('cut', 'select 1;\r\n'),
    longNameEntry(`postgresql/functions/${'long/'.repeat(30)}b.sql`),
    tarFile('postgresql/functions/cut.sql'),
    tarEntry({ name: 'c.sql', prefix: 'postgresql/migrations', data: 'x'.repeat(600) }),
  )
  const headers = headerOffsets(whole)

  test.each([
    ['bytes of the gzip', 1500, (random: Random) => scrambled(gzipSync(whole), random)],
    ['bytes of the tar', 1000, (random: Random) => gzipSync(scrambled(whole, random))],
    ['header fields, checksums right', 2500, (random: Random) => gzipSync(resigned(random))],
    ['blocks', 1000, (random: Random) => gzipSync(shuffled(random))],
  ])('%s: nothing but a refusal escapes', { timeout: 60_000 }, async (_, rounds, mutate) => {
    const random = randomFrom(42)
    let refused = 0
    for (let round = 0; round < rounds; round++) {
      const bytes = mutate(random)
      try {
        await read(bytes)
      } catch (error) {
        if (!(error instanceof GatewayError)) {
          throw new Error(`round ${round}: ${bytes.toString('base64')}`, { cause: error })
        }
        expect(error.code).toBe('schema_extraction_failed')
        refused++
      }
    }
    expect(refused).toBeGreaterThan(rounds / 10)
    expect(refused).toBeLessThan(rounds)
  })

  function scrambled(bytes: Buffer, random: Random): Buffer {
    const copy = Buffer.from(bytes)
    for (let n = random(4); n >= 0; n--) copy[random(copy.length)] = random(256)
    return random(4) === 0 ? copy.subarray(0, random(copy.length)) : copy
  }

  /** Wrong in what the header says, so that it is not the checksum that catches it. */
  function resigned(random: Random): Buffer {
    const copy = Buffer.from(whole)
    const fields = [0, 1, 99, 124, 125, 133, 134, 135, 156, 257, 262, 345, 499]
    for (let n = random(3); n >= 0; n--) {
      const offset = headers[random(headers.length)]!
      const header = copy.subarray(offset, offset + 512)
      const values = [0, 32, 47, 46, 48, 49, 50, 53, 55, 76, 103, 120, 128, 255, random(256)]
      header[fields[random(fields.length)]!] = values[random(values.length)]!
      sign(header)
      const data = copy.subarray(offset + 512, offset + 1024)
      if (random(2) === 0) data[random(40)] = random(256)
    }
    return copy
  }

  function shuffled(random: Random): Buffer {
    const blocks = Array.from({ length: whole.length / 512 }, (_, i) =>
      whole.subarray(i * 512, i * 512 + 512),
    )
    for (let n = random(4); n >= 0; n--) {
      const block = blocks[random(blocks.length)]!
      blocks.splice(random(blocks.length), random(2), block)
    }
    return Buffer.concat(blocks)
  }
})
