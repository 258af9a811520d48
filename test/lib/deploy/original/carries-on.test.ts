import { describe, expect, test } from 'vitest'
import { readArchive } from '../../../../lib/archive/archive.ts'
import { carriesOn } from '../../../../lib/deploy/original/carries-on.ts'
import { pack } from '../../../helpers/platforms.ts'

const LIMITS = { maxUnpackedBytes: 1024 * 1024, maxEntries: 100 }

const archiveOf = async (paths: string[]) =>
  readArchive(await pack(Object.fromEntries(paths.map((path) => [path, 'select 1;']))), LIMITS)

/** Whether an archive of these files carries on one of those. */
const isNext = async (paths: string[], before: string[]) =>
  carriesOn(await archiveOf(paths), await archiveOf(before))

describe('an archive carries on another one', () => {
  const old = ['migrations/001.sql', 'migrations/002.sql', 'tables/a.sql']

  test('that has all of its migrations', async () => {
    expect(await isNext(['migrations/001.sql', 'migrations/002.sql'], old)).toBe(true)
    expect(await isNext([...old, 'migrations/003.sql'], old)).toBe(true)
    expect(await isNext(['migrations/001.sql', 'migrations/003.sql', 'tables/a.sql'], old)).toBe(
      false,
    )
  })

  test('that has no migrations, and half of its tables and functions', async () => {
    const plain = ['tables/a.sql', 'tables/b.sql', 'functions/x/c.sql', 'functions/d.sql']
    expect(await isNext([...plain.slice(0, 2), 'migrations/001.sql'], plain)).toBe(true)
    expect(await isNext(['tables/a.sql', 'functions/x/c.sql'], plain)).toBe(true)
    expect(await isNext(['tables/a.sql', 'functions/c.sql', 'functions/b.sql'], plain)).toBe(false)
  })
})
