import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { deleteOldDumps } from '../../../../lib/deploy/drop/dumps.ts'
import { temporaryFolder } from '../../../helpers/process.ts'

const DAY_MS = 24 * 60 * 60 * 1000

/** The name of a dump of so many days ago. */
function nameOf(database: string, days: number, ending = ''): string {
  const at = new Date(Date.now() - days * DAY_MS)
  return `${database}_${at.toISOString().replaceAll(/[-:]|\.\d+/g, '')}.dump${ending}`
}

test('Dumps go after their days, parts of dumps sooner, and nothing else does', async () => {
  const folder = await temporaryFolder()
  const kept = [
    nameOf('shop_a', 29),
    nameOf('shop_a', 1, '.part'),
    'shop_a.dump',
    'notes_20200101T000000Z.txt',
    'shop_a_20209901T000000Z.dump',
  ]
  const old = [nameOf('shop_a', 31), nameOf('shop_b_c', 400), nameOf('shop_a', 3, '.part')]
  for (const name of [...kept, ...old]) await writeFile(join(folder, name), '')
  expect((await deleteOldDumps(folder, 30)).sort()).toEqual(old.sort())
  expect((await readdir(folder)).sort()).toEqual(kept.sort())
  expect(await deleteOldDumps(join(folder, 'nowhere'), 30)).toEqual([])
})
