import { expect, test } from 'vitest'
import { readArchive, type SchemaArchive } from '../../../../lib/archive/archive.ts'
import { ConfigError, readConfig } from '../../../../lib/config.ts'
import type { FileSection, Ledger, LedgerFile } from '../../../../lib/deploy/ledger/ledger.ts'
import { codeOf, lackingFiles } from '../../../../lib/deploy/older/code-sections.ts'
import { type Files, pack, textFunction } from '../../../helpers/platforms.ts'

const FILES: Files = {
  'migrations/001_a.pssql': 'create table a ()',
  'types/t.pssql': 'create type t as (a int)',
  'seeders/s.pssql': 'insert into a values ()',
  'policies/p.pssql': 'create policy p on a',
  'triggers/t.pssql': 'create trigger t',
  ...textFunction('f', 'f'),
  ...textFunction('g', 'g'),
}

async function archiveOf(files: Files): Promise<SchemaArchive> {
  return readArchive(await pack(files), { maxUnpackedBytes: 1_000_000, maxEntries: 100 })
}

/** A ledger to which an archive was deployed. */
function ledgerOf({ files }: SchemaArchive): Ledger {
  const filesOf = (section: FileSection) =>
    new Map(
      files[section].map(({ name, checksum }): [string, LedgerFile] => [
        name,
        { checksum, objects: [] },
      ]),
    )
  return {
    migrations: new Map(
      files.migrations.map(({ name, checksum }) => [
        name,
        { checksum, status: 'applied', error: null },
      ]),
    ),
    functions: new Map(),
    views: new Map(),
    filesOf,
  } as unknown as Ledger
}

test('functions, views and triggers go back; the rest is nobody’s', async () => {
  const archive = await archiveOf(FILES)
  const code = codeOf(archive, ledgerOf(archive), new Set(['functions/f.pssql']))
  const paths = Object.values(code.archive.files).flatMap((files) => files.map(({ path }) => path))
  expect(paths).toEqual(['functions/g.pssql', 'triggers/t.pssql'])
  expect([...code.ledger.filesOf('functions').keys()]).toEqual(['g.pssql'])
  expect(code.ledger.filesOf('policies').size).toBe(0)
  expect(code.ledger.filesOf('types').size).toBe(1)
})

test('what a database has not had is named; a migration under another name is the same', async () => {
  const archive = await archiveOf(FILES)
  expect(lackingFiles(archive, ledgerOf(archive))).toEqual([])
  const { 'migrations/001_a.pssql': text, 'types/t.pssql': _, ...others } = FILES
  const renamed = await archiveOf({ ...others, 'migrations/0001_a.pssql': text! })
  expect(lackingFiles(archive, ledgerOf(renamed))).toEqual(['types/t.pssql'])
  const without = await archiveOf({ ...textFunction('f', 'f') })
  expect(lackingFiles(archive, ledgerOf(without))).toEqual([
    'migrations/001_a.pssql',
    'types/t.pssql',
    'seeders/s.pssql',
  ])
})

test('settings', () => {
  expect(readConfig({})).toMatchObject({ olderArchives: 'ignore', keptArchives: 20 })
  const config = readConfig({ OLDER_ARCHIVES: 'deploy', KEPT_ARCHIVES: '0' })
  expect(config).toMatchObject({ olderArchives: 'deploy', keptArchives: 0 })
  expect(() => readConfig({ OLDER_ARCHIVES: 'refuse' })).toThrow(ConfigError)
})
