import { execFileSync } from 'node:child_process'
import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { describePacked, packFolder, pathsOf } from '../../cli/schema/pack.ts'
import { readArchive } from '../../lib/archive/archive.ts'
import { PROJECT } from '../helpers/gateway.ts'
import { folderWith, temporaryFolder } from '../helpers/process.ts'

const LIMITS = { maxUnpackedBytes: 2 ** 26, maxEntries: 1000 }
const CLINIC = join(PROJECT, 'test/fixtures/clinic')

describe('the packer', () => {
  test('packs what tar packs', async () => {
    const packed = await packFolder(CLINIC)
    const tar = execFileSync('tar', ['czf', '-', '-C', CLINIC, 'postgresql'])
    expect(packed.archive.checksum).toBe((await readArchive(tar, LIMITS)).checksum)
    expect(describePacked(packed)).toBe(
      '67 files: 8 migrations, 13 tables, 40 functions, 6 seeders',
    )
    expect(pathsOf(packed)[0]).toBe('migrations/001_people_and_rooms.pssql')
    // The folder itself, and the same bytes each time.
    const inside = await packFolder(join(CLINIC, 'postgresql'))
    expect(Buffer.compare(packed.bytes, inside.bytes)).toBe(0)
  })

  test('packs empty files, long names and names in other scripts', async () => {
    const long = `functions/${'ä'.repeat(90)}/${'b'.repeat(200)}.sql`
    const folder = await folderWith({
      [long]: 'select 1;',
      'functions/empty.sql': '',
      'migrations/001_x.sql': 'x'.repeat(512),
    })
    const { archive } = await packFolder(folder)
    expect(archive.files.functions.map(({ path }) => path).sort()).toEqual(
      ['functions/empty.sql', long].sort(),
    )
    expect(archive.files.migrations[0]!.text).toHaveLength(512)
  })

  test('passes over what does not count, and names it', async () => {
    const folder = await folderWith({
      'postgresql/functions/a.sql': '',
      'postgresql/functions/.keep': '',
      'postgresql/functions/a.sql.orig': '',
      'postgresql/function/b.sql': '',
      'tests/a.sql': '',
    })
    const packed = await packFolder(folder)
    expect(pathsOf(packed)).toEqual(['functions/a.sql'])
    expect(packed.warnings).toEqual([
      expect.stringContaining('Ignored the folder "function/"'),
      expect.stringContaining('Ignored "functions/a.sql.orig"'),
    ])
  })

  test('an empty postgresql/ is a schema without files', async () => {
    const folder = await temporaryFolder()
    await mkdir(join(folder, 'postgresql'))
    const packed = await packFolder(folder)
    expect(packed.warnings).toEqual(['The archive has no SQL file'])
    expect(describePacked(packed)).toBe('0 files')
  })

  test.each<[string, Record<string, string | Buffer>, string]>([
    ['no section', { 'src/a.sql': '' }, 'No postgresql/ folder inside: found "src/"'],
    ['no section in postgresql/', { 'postgresql/src/a.sql': '' }, 'No section folder inside'],
    ['bytes that are not UTF-8', { 'functions/a.sql': Buffer.from([0xff]) }, 'UTF-8'],
    ['a backslash', { 'functions/a\\b.sql': '' }, 'contains a backslash'],
  ])('refuses %s in the words of the gateway', async (_, files, words) => {
    const error = await packFolder(await folderWith(files)).catch((error) => error)
    expect(error).toMatchObject({ code: 'schema_extraction_failed' })
    expect(error.message).toContain(words)
  })

  test('refuses a link, and a folder that is not there', async () => {
    const folder = await folderWith({ 'functions/a.sql': '' })
    await symlink('/etc/passwd', join(folder, 'functions/b.sql'))
    await expect(packFolder(folder)).rejects.toThrow('"functions/b.sql" is a symbolic link')
    await expect(packFolder(join(folder, 'x'))).rejects.toThrow('There is no folder')
  })
})
