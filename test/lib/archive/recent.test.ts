import { describe, expect, test } from 'vitest'
import { readRecentArchive } from '../../../lib/archive/recent.ts'
import { pack } from '../../helpers/platforms.ts'

const LIMITS = { maxUnpackedBytes: 8 * 1024 * 1024, maxEntries: 1000 }

describe('an archive that comes again', () => {
  test('is read once', async () => {
    const bytes = await pack({ 'functions/again.sql': 'select 1' })
    const [first, second] = await Promise.all([
      readRecentArchive(bytes, LIMITS),
      readRecentArchive(Uint8Array.from(bytes), LIMITS),
    ])
    expect(second).toBe(first)
  })

  test('is read anew where a limit is another one', async () => {
    const bytes = await pack({ 'functions/limits.sql': 'select 1' })
    await readRecentArchive(bytes, LIMITS)
    await expect(readRecentArchive(bytes, { ...LIMITS, maxUnpackedBytes: 100 })).rejects.toThrow(
      'MAX_UNPACKED_BYTES',
    )
  })

  test('is refused again where it was refused', async () => {
    const bytes = Buffer.from('no archive')
    for (const _ of [1, 2]) {
      await expect(readRecentArchive(bytes, LIMITS)).rejects.toThrow()
    }
  })

  test('is not kept where it is large', async () => {
    const bytes = await pack({ 'seeders/large.sql': `select '${'x'.repeat(2_000_000)}'` })
    const first = await readRecentArchive(bytes, LIMITS)
    expect(await readRecentArchive(bytes, LIMITS)).not.toBe(first)
  })

  test('is forgotten after many others', async () => {
    const bytes = await pack({ 'functions/old.sql': 'select 1' })
    const first = await readRecentArchive(bytes, LIMITS)
    for (let i = 0; i < 20; i++) {
      await readRecentArchive(await pack({ 'functions/f.sql': `select ${i}` }), LIMITS)
    }
    expect(await readRecentArchive(bytes, LIMITS)).not.toBe(first)
  })

  test('is forgotten where all that are kept come to much (D6)', async () => {
    const large = (i: number) =>
      pack({ 'seeders/large.sql': `select ${i}, '${'x'.repeat(900_000)}'` })
    const small = await pack({ 'functions/small.sql': 'select 1' })
    const first = await readRecentArchive(await large(1), LIMITS)
    await readRecentArchive(await large(2), LIMITS)
    // The time of packing is in the bytes.
    const third = await large(3)
    const last = await readRecentArchive(third, LIMITS)
    const kept = await readRecentArchive(small, LIMITS)
    expect(await readRecentArchive(third, LIMITS)).toBe(last)
    expect(await readRecentArchive(small, LIMITS)).toBe(kept)
    expect(await readRecentArchive(await large(1), LIMITS)).not.toBe(first)
  })
})
