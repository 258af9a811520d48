import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tarEntry, tarFile, tarGz } from '../../../helpers/tar.ts'

import {
  A_FILE,
  allPaths,
  read,
  readFixture,
  refusalOf,
  SAMPLE,
  sampleGz,
  sha256,
  textByPath,
} from './setup.ts'

describe('archives that tools write', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'archive-'))
    for (const [path, text] of Object.entries(SAMPLE)) {
      const file = join(folder, 'myapp/postgresql', path)
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, text)
    }
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  const gnuTar = (format: string, below: string, ...names: string[]) =>
    execFileSync('tar', ['-C', join(folder, below), '-cz', `--format=${format}`, ...names])

  test.each([
    ['GNU tar, gnu', () => gnuTar('gnu', 'myapp', 'postgresql')],
    ['GNU tar, ustar', () => gnuTar('ustar', 'myapp', 'postgresql')],
    ['GNU tar, posix', () => gnuTar('posix', 'myapp', 'postgresql')],
    ['GNU tar, ./ in front', () => gnuTar('gnu', 'myapp', './postgresql')],
    ['GNU tar, from inside', () => gnuTar('posix', 'myapp', '.')],
    ['GNU tar, the sections alone', () => gnuTar('gnu', 'myapp/postgresql', '.')],
    ['GNU tar, in another folder', () => gnuTar('posix', '', 'myapp')],
    ['bsdtar, pax', () => readFixture('bsdtar-pax')],
    ['bsdtar, ustar', () => readFixture('bsdtar-ustar')],
    ['bsdtar, gnutar', () => readFixture('bsdtar-gnutar')],
    ['PHP PharData', () => readFixture('phardata')],
  ])('%s: all files, whole names, the same checksum', async (_, bytes) => {
    const archive = await read(bytes())
    expect(textByPath(archive)).toEqual(SAMPLE)
    expect(archive.warnings).toEqual([])
    expect(archive.checksum).toBe((await read(sampleGz())).checksum)
  })
})

describe('what a file is', () => {
  test('has its path, its name in the section, its text and the checksum of it', async () => {
    const archive = await read(tarGz(tarFile('postgresql/functions/auth/login.pssql', 'select 1')))
    expect(archive.files.functions).toEqual([
      {
        path: 'functions/auth/login.pssql',
        name: 'auth/login.pssql',
        text: 'select 1',
        checksum: sha256('select 1'),
        rawChecksum: sha256('select 1'),
      },
    ])
  })

  test('loses its byte order mark and has its lines ended by \\n', async () => {
    const archive = await read(
      tarGz(tarFile('postgresql/functions/a.sql', '\ufeffone\r\ntwo\rthree\n')),
    )
    expect(archive.files.functions[0]?.text).toBe('one\ntwo\nthree\n')
  })

  test('counts with .pssql, .pgsql, .psql and .sql, in upper case too', async () => {
    const names = ['a.pssql', 'b.pgsql', 'c.psql', 'd.sql', 'e.SQL', 'f.txt', 'g.sql.bak']
    const archive = await read(tarGz(...names.map((n) => tarFile(`postgresql/views/${n}`))))
    expect(archive.files.views.map((file) => file.name)).toEqual(names.slice(0, 5))
    expect(archive.warnings).toEqual([
      'Ignored "views/f.txt": not .pssql, .pgsql, .psql or .sql',
      'Ignored "views/g.sql.bak": not .pssql, .pgsql, .psql or .sql',
    ])
  })

  test('that is not UTF-8 is refused with its name and line', async () => {
    const latin1 = Buffer.from("-- fine\nselect 'Grüße';\n", 'latin1')
    const error = await refusalOf(tarGz(tarFile('postgresql/functions/a.sql', latin1)))
    expect(error.message).toBe('"functions/a.sql" is not valid UTF-8 in line 2')
    expect(error.details).toMatchObject({ file: 'functions/a.sql', line: 2 })
  })

  test('that contains a NUL is refused with its name and line', async () => {
    const error = await refusalOf(tarGz(tarFile('postgresql/functions/a.sql', 'a\n\nb\0c')))
    expect(error.message).toContain('"functions/a.sql" contains a NUL in line 3')
    expect(error.details).toMatchObject({ file: 'functions/a.sql', line: 3 })
  })

  test('that nests comments thousands deep, for which the parser takes minutes, is refused', async () => {
    const nested = (open: string) =>
      `-- fine\n${open.repeat(10_000)}${'*/'.repeat(10_000)}select 1;`
    for (const open of ['/*', '/*+', '/*----']) {
      const error = await refusalOf(tarGz(tarFile('postgresql/functions/a.sql', nested(open))))
      expect(error.message).toBe('"functions/a.sql" nests too many comments in line 2')
    }
  })

  test('that has lines of operators is read at once', async () => {
    const started = performance.now()
    await read(tarGz(tarFile('postgresql/functions/a.sql', `${'-'.repeat(1900)}\n`.repeat(500))))
    expect(performance.now() - started).toBeLessThan(1000)
  })

  test('that is no SQL file may hold anything', async () => {
    const archive = await read(
      tarGz(A_FILE, tarFile('postgresql/tables/erd.png', Buffer.from([0, 255]))),
    )
    expect(allPaths(archive)).toEqual(['functions/a.sql'])
  })

  test('that comes twice is the later one, with a warning', async () => {
    const archive = await read(
      tarGz(
        tarFile('postgresql/functions/a.sql', Buffer.from([0xff])),
        tarFile('./postgresql//functions/./a.sql', 'new'),
      ),
    )
    expect(archive.files.functions.map((file) => file.text)).toEqual(['new'])
    expect(archive.warnings).toEqual(['"functions/a.sql" comes twice: the last one counts'])
  })

  test('has one name however its accents are stored', async () => {
    const archive = await read(tarGz(tarFile('postgresql/functions/cafe\u0301.sql')))
    expect(allPaths(archive)).toEqual(['functions/caf\u00e9.sql'])
  })
})

describe('order', () => {
  const inOrder = async (section: 'migrations' | 'functions', names: string[]) => {
    const archive = await read(tarGz(...names.map((n) => tarFile(`postgresql/${section}/${n}`))))
    return archive.files[section].map((file) => file.name)
  }

  test('migrations run by their number, then by name; those without one come last', async () => {
    const sorted = [
      '0_zero.sql',
      '001_a.sql',
      '1_b.sql',
      '9_nine.sql',
      '10_ten.sql',
      '0099.sql',
      '20240101120000000000000000_x.sql',
      '20240101120000000000000001_a.sql',
      'B_none.sql',
      'a_none.sql',
    ]
    expect(await inOrder('migrations', sorted.toReversed())).toEqual(sorted)
    expect(await inOrder('migrations', sorted)).toEqual(sorted)
  })

  test('other sections go by name, upper case before lower case, in every locale', async () => {
    const sorted = ['10.sql', '9.sql', 'B.sql', 'Z/a.sql', 'a-b.sql', 'a/b.sql', 'a_b.sql', 'é.sql']
    expect(await inOrder('functions', sorted.toReversed())).toEqual(sorted)
  })
})

describe('the checksum of an archive', () => {
  test('stays for the same content: order, compression, line ends, a wrapping folder', async () => {
    const { checksum } = await read(sampleGz())
    const paths = Object.keys(SAMPLE)
    expect(checksum).toMatch(/^[0-9a-f]{64}$/)
    expect((await read(sampleGz(paths.toReversed()))).checksum).toBe(checksum)
    expect((await read(gzipSync(gunzipSync(sampleGz()), { level: 0 }))).checksum).toBe(checksum)
    const crlf = sampleGz(paths, (path) => SAMPLE[path]!.replaceAll('\n', '\r\n'))
    expect((await read(crlf)).checksum).toBe(checksum)
    const withReadme = gzipSync(Buffer.concat([tarFile('README.md'), gunzipSync(sampleGz())]))
    expect((await read(withReadme)).checksum).toBe(checksum)
  })

  test('is that of the paths and checksums of all files, by path', async () => {
    const paths = ['functions/a.sql', 'migrations/10_b.sql', 'migrations/9_a.sql', 'types/a.sql']
    const { checksum } = await read(tarGz(...paths.map((p) => tarFile(`postgresql/${p}`, p))))
    expect(checksum).toBe(sha256(JSON.stringify(paths.map((p) => [p, sha256(p)]))))
  })

  test('changes with a text, a name, a section and a further file', async () => {
    const archives = [
      tarGz(tarFile('postgresql/functions/a.sql', 'a')),
      tarGz(tarFile('postgresql/functions/a.sql', 'b')),
      tarGz(tarFile('postgresql/functions/b.sql', 'a')),
      tarGz(tarFile('postgresql/views/a.sql', 'a')),
      tarGz(tarFile('postgresql/functions/a.sql', 'a'), tarFile('postgresql/functions/b.sql', 'a')),
    ]
    const checksums = await Promise.all(archives.map(async (a) => (await read(a)).checksum))
    expect(new Set(checksums).size).toBe(archives.length)
  })
})

describe('where postgresql/ is', () => {
  test('at the top: what lies beside it is ignored with one warning', async () => {
    const archive = await read(
      tarGz(A_FILE, tarFile('README.md'), tarFile('functions/b.sql'), tarFile('functions/c.sql')),
    )
    expect(allPaths(archive)).toEqual(['functions/a.sql'])
    expect(archive.warnings).toEqual(['Ignored beside postgresql/: "README.md", "functions/"'])
  })

  test('below one folder: what lies beside it, there or above, is ignored', async () => {
    const archive = await read(
      tarGz(
        tarEntry({ name: 'app/', type: '5' }),
        tarFile('app/postgresql/views/a.sql'),
        tarFile('app/src/main.ts'),
        tarFile('functions/b.sql'),
      ),
    )
    expect(allPaths(archive)).toEqual(['views/a.sql'])
    expect(archive.warnings).toEqual([
      'Ignored beside app/postgresql/: "app/src/", "functions/b.sql"',
    ])
  })

  test('left out: a section may have a subfolder named postgresql', async () => {
    const archive = await read(tarGz(tarFile('functions/postgresql/a.sql'), tarFile('views/b.sql')))
    expect(allPaths(archive)).toEqual(['functions/postgresql/a.sql', 'views/b.sql'])
  })

  test('below two folders at once: refused, naming both', async () => {
    const error = await refusalOf(
      tarGz(tarFile('one/postgresql/views/a.sql'), tarFile('two/postgresql/views/a.sql')),
    )
    expect(error.message).toBe('More than one postgresql/ folder inside: in "one", "two"')
  })

  test('nowhere: refused, telling what was found', async () => {
    const names = [
      'src/a.sql',
      'src/b.sql',
      'x.sql',
      'a/b/postgresql/views/a.sql',
      'c',
      'd',
      'e',
      'f',
    ]
    const error = await refusalOf(tarGz(...names.map((n) => tarFile(n))))
    expect(error.message).toBe(
      'No postgresql/ folder inside: found "src/", "x.sql", "a/", "c", "d" and 2 more',
    )
    expect((await refusalOf(tarGz())).message).toBe('No postgresql/ folder inside: found nothing')
    expect((await refusalOf(tarGz(tarFile('postgresql')))).message).toContain('No postgresql/')
  })

  test('without a section in it: refused, telling what was found and what is expected', async () => {
    const error = await refusalOf(tarGz(tarFile('postgresql/procedures/a.sql')))
    expect(error.message).toBe(
      'No section folder inside postgresql/: found "procedures/", expected schemas, extensions, ' +
        'types, migrations, tables, functions, views, triggers, policies, seeders',
    )
  })

  test.each([
    ['an empty postgresql/', tarEntry({ name: 'postgresql/', type: '5' })],
    ['a section without files', tarEntry({ name: 'postgresql/views/', type: '5' })],
    ['a V7 folder', tarEntry({ name: 'postgresql/views/', type: '\0', magic: '' })],
  ])('%s: taken, with a warning', async (_, entry) => {
    const archive = await read(tarGz(entry))
    expect(allPaths(archive)).toEqual([])
    expect(archive.warnings).toEqual(['The archive has no SQL file'])
  })
})

describe('what is ignored', () => {
  test('macOS noise, silently', async () => {
    const archive = await read(
      tarGz(
        A_FILE,
        tarFile('./._postgresql'),
        tarFile('postgresql/functions/._a.sql'),
        tarFile('postgresql/.DS_Store'),
        tarFile('__MACOSX/postgresql/functions/a.sql'),
        tarFile('postgresql/functions/PaxHeaders.123/b.sql'),
        tarFile('PaxHeader/c.sql'),
      ),
    )
    expect(allPaths(archive)).toEqual(['functions/a.sql'])
    expect(archive.warnings).toEqual([])
  })

  test('hidden files and folders, each with one warning', async () => {
    const archive = await read(
      tarGz(
        A_FILE,
        tarFile('postgresql/functions/.b.sql'),
        tarFile('postgresql/.git/config'),
        tarFile('postgresql/.git/functions/a.sql'),
      ),
    )
    expect(allPaths(archive)).toEqual(['functions/a.sql'])
    expect(archive.warnings).toEqual([
      'Ignored "postgresql/functions/.b.sql": hidden',
      'Ignored "postgresql/.git": hidden',
    ])
  })

  test('unknown folders and stray files, with a warning', async () => {
    const archive = await read(
      tarGz(
        A_FILE,
        tarFile('postgresql/stray.sql'),
        tarFile('postgresql/Functions/a.sql'),
        tarFile('postgresql/Functions/b.sql'),
      ),
    )
    expect(allPaths(archive)).toEqual(['functions/a.sql'])
    expect(archive.warnings).toEqual([
      expect.stringMatching(/^Ignored the folder "Functions\/": not one of schemas, extensions/),
      'Ignored "stray.sql": not in a section folder',
    ])
  })

  test('after twenty warnings the rest is counted, the weightier come first', async () => {
    const texts = Array.from({ length: 25 }, (_, i) => tarFile(`postgresql/functions/${i}.txt`))
    const archive = await read(tarGz(...texts, A_FILE, A_FILE))
    expect(archive.warnings).toHaveLength(21)
    expect(archive.warnings[0]).toContain('"functions/a.sql" comes twice')
    expect(archive.warnings[20]).toBe('and 6 more')
  })
})
