import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readArchive } from '../../../lib/archive/archive.ts'
import { changesBetween, unified } from '../../../lib/archive/changes.ts'
import { diffLines } from '../../../lib/common/diff-lines.ts'
import { pack } from '../../helpers/platforms.ts'

const LIMITS = { maxUnpackedBytes: 1e7, maxEntries: 1000 }
const read = async (files: Record<string, string>) => readArchive(await pack(files), LIMITS)

test('files are added, removed and changed, in the order of a deploy', async () => {
  const before = await read({ 'functions/a.pssql': 'one\ntwo\n', 'functions/gone.pssql': 'x\n' })
  const after = await read({ 'functions/a.pssql': 'one\n2\n', 'migrations/001.pssql': 'new\n' })
  expect(await changesBetween(before, after)).toEqual([
    {
      path: 'migrations/001.pssql',
      change: 'added',
      lines_added: 1,
      lines_removed: 0,
      diff: '@@ -0,0 +1 @@\n+new\n',
    },
    {
      path: 'functions/a.pssql',
      change: 'changed',
      lines_added: 1,
      lines_removed: 1,
      diff: '@@ -1,2 +1,2 @@\n one\n-two\n+2\n',
    },
    {
      path: 'functions/gone.pssql',
      change: 'removed',
      lines_added: 0,
      lines_removed: 1,
      diff: '@@ -1 +0,0 @@\n-x\n',
    },
  ])
  expect(await changesBetween(after, after)).toEqual([])
  expect((await changesBetween(undefined, after)).map(({ change }) => change)).toEqual([
    'added',
    'added',
  ])
})

test('the diff of each text is one that patch takes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'diff-'))
  try {
    for (let seed = 1; seed <= 20; seed++) {
      const lines = (salt: number) =>
        Array.from({ length: 60 }, (_, i) => ((i * seed) % 7 === salt ? `${salt} ${i}` : `${i}`))
      const [before, after] = [lines(1), lines(2).filter((_, i) => (i * seed) % 11 !== 3)]
      const file = join(folder, 'file')
      writeFileSync(file, `${before.join('\n')}\n`)
      const diff = unified(diffLines(`${before.join('\n')}\n`, `${after.join('\n')}\n`))
      execFileSync('git', ['apply', '--unsafe-paths', '-'], {
        cwd: folder,
        input: `--- a/file\n+++ b/file\n${diff}`,
      })
      expect(readFileSync(file, 'utf8')).toBe(`${after.join('\n')}\n`)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})
