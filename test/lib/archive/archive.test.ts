import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createGzip, gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { readArchive, type SchemaArchive, SECTIONS } from '../../../lib/archive/archive.ts'
import { GatewayError } from '../../../lib/errors.ts'
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
} from '../../helpers/tar.ts'

const MIB = 1024 * 1024
const LIMITS = { maxUnpackedBytes: 8 * MIB, maxEntries: 1000 }

const FOLDER = 'a_rather_long_folder_name/'
const SAMPLE: Record<string, string> = {
  'migrations/001_init.pssql': 'create table todo (id bigint);\n',
  'functions/größe = 1.pssql': "select 'Grüße';\n",
  [`functions/${FOLDER.repeat(4)}long.pssql`]: 'select 1;\n',
  [`functions/${FOLDER.repeat(8)}longer.pssql`]: 'select 2;\n',
  'seeders/empty.sql': '',
}

const read = (bytes: Uint8Array, limits = LIMITS) => readArchive(bytes, limits)

/** The error that the archive is refused with; fails for any other outcome. */
async function refusalOf(bytes: Uint8Array, limits = LIMITS): Promise<GatewayError> {
  const error = await read(bytes, limits).then(
    () => expect.fail('the archive was taken'),
    (error: unknown) => error,
  )
  if (!(error instanceof GatewayError)) throw error
  expect(error.code).toBe('schema_extraction_failed')
  expect(error.status).toBe(400)
  return error
}

const allFiles = (archive: SchemaArchive) => SECTIONS.flatMap((section) => archive.files[section])
const allPaths = (archive: SchemaArchive) => allFiles(archive).map((file) => file.path)
const textByPath = (archive: SchemaArchive) =>
  Object.fromEntries(allFiles(archive).map((file) => [file.path, file.text]))
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

const A_FILE = tarFile('postgresql/functions/a.sql')

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

const readFixture = (name: string) =>
  readFileSync(new URL(`../fixtures/archives/${name}.tar.gz`, import.meta.url))

/** The sample by hand, in the order of `paths`. */
function sampleGz(paths = Object.keys(SAMPLE), text = (path: string) => SAMPLE[path]!): Buffer {
  const entries = paths.map((path) =>
    Buffer.concat([paxEntry({ path: `postgresql/${path}` }), tarFile('cut', text(path))]),
  )
  return tarGz(...entries)
}

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

describe('names', () => {
  test.each([
    ['postgresql/functions/a b.sql'],
    ['postgresql/functions/a = b=c.sql'],
    ['postgresql/functions/one\ntwo 12 path=x.sql'],
    ['postgresql/functions/日本語 😀.sql'],
  ])('pax: %j', async (path) => {
    const archive = await read(
      tarGz(paxEntry({ mtime: '1.5', comment: 'a\nb=c', path }), tarFile('cut')),
    )
    expect(allPaths(archive)).toEqual([path.replace('postgresql/', '')])
  })

  test('pax: the path holds for one entry, a link path is none', async () => {
    const archive = await read(
      tarGz(
        paxEntry({ path: 'postgresql/functions/b.sql', linkpath: 'postgresql/functions/x.sql' }),
        tarFile('cut'),
        paxEntry({ linkpath: 'postgresql/functions/x.sql' }),
        tarFile('postgresql/functions/c.sql'),
      ),
    )
    expect(allPaths(archive)).toEqual(['functions/b.sql', 'functions/c.sql'])
  })

  test('pax: a global path holds until an entry has its own, or takes it back', async () => {
    const archive = await read(
      tarGz(
        paxEntry({ path: 'postgresql/functions/global.sql' }, 'g'),
        tarFile('first'),
        paxEntry({ path: 'postgresql/functions/own.sql' }),
        tarFile('second'),
        paxEntry({ path: '' }),
        tarFile('postgresql/functions/header.sql'),
      ),
    )
    expect(allPaths(archive)).toEqual([
      'functions/global.sql',
      'functions/header.sql',
      'functions/own.sql',
    ])
  })

  test('pax: a header name cut within a letter does not matter', async () => {
    const archive = await read(
      tarGz(
        paxEntry({ path: 'postgresql/functions/ü.sql' }),
        tarEntry({ name: Buffer.from([0x61, 0xc3]), data: 'x' }),
      ),
    )
    expect(allPaths(archive)).toEqual(['functions/ü.sql'])
  })

  test('GNU: the long name replaces the short one, a long link name does not', async () => {
    const archive = await read(
      tarGz(
        longNameEntry(`postgresql/functions/${'b'.repeat(200)}.sql`),
        tarEntry({ name: '././@LongLink', type: 'K', data: 'elsewhere\0' }),
        tarFile('postgresql/functions/cut.sql'),
      ),
    )
    expect(allPaths(archive)).toEqual([`functions/${'b'.repeat(200)}.sql`])
  })

  test('ustar has a prefix, GNU has other things in its place', async () => {
    const archive = await read(
      tarGz(
        tarEntry({ name: 'a.sql', prefix: 'postgresql/functions', data: 'x' }),
        tarEntry({
          name: 'postgresql/functions/b.sql',
          magic: 'ustar  \0',
          prefix: '01234567012',
        }),
        tarEntry({ name: 'postgresql/functions/c.sql', magic: '', prefix: 'junk' }),
        tarEntry({ name: `postgresql/functions/${'d'.repeat(75)}.sql` }),
      ),
    )
    expect(allPaths(archive)).toEqual([
      'functions/a.sql',
      'functions/b.sql',
      'functions/c.sql',
      `functions/${'d'.repeat(75)}.sql`,
    ])
  })

  test('an entry whose header has no name but its pax header one is read', async () => {
    const archive = await read(
      tarGz(paxEntry({ path: 'postgresql/functions/b.sql' }), tarEntry({ name: '' }), A_FILE),
    )
    expect(allPaths(archive)).toEqual(['functions/a.sql', 'functions/b.sql'])
  })

  test.each([
    ['../../x', 'leads outside'],
    ['postgresql/functions/../../../etc/passwd', 'leads outside'],
    ['postgresql/..', 'leads outside'],
    ['/etc/passwd', 'is absolute'],
    ['postgresql\\functions\\a.sql', 'contains a backslash'],
  ])('%s: refused, naming it', async (name, why) => {
    const error = await refusalOf(tarGz(A_FILE, tarFile(name)))
    expect(error.message).toContain(`The name ${JSON.stringify(name)} ${why}`)
    expect(error.details.file).toBe(name)
    const folder = await refusalOf(tarGz(A_FILE, tarEntry({ name, type: '5' })))
    expect(folder.message).toContain(why)
  })

  test('dots that are part of a name are fine', async () => {
    const archive = await read(tarGz(tarFile('postgresql/functions/a..b...sql')))
    expect(allPaths(archive)).toEqual(['functions/a..b...sql'])
  })

  test('with a NUL, from pax or a long name: refused', async () => {
    const name = 'postgresql/functions/a.sql\0.txt'
    const pax = await refusalOf(tarGz(paxEntry({ path: name }), tarFile('cut')))
    expect(pax.message).toContain('contains a NUL')
    const long = await refusalOf(tarGz(longNameEntry(name), tarFile('cut')))
    expect(long.message).toContain('contains a NUL')
  })

  test('not UTF-8, none at all, or too long: refused', async () => {
    const latin1 = tarEntry({ name: Buffer.from('postgresql/views/gr\xf6\xdfe.sql', 'latin1') })
    expect((await refusalOf(tarGz(latin1))).message).toContain('is not valid UTF-8')
    const none = await refusalOf(tarGz(A_FILE, tarEntry({ name: '' }), A_FILE))
    expect(none.message).toBe('The archive has an entry without a name')
    const long = await refusalOf(tarGz(longNameEntry('a/'.repeat(2049)), A_FILE))
    expect(long.message).toMatch(/^The name ".{100,130}" is longer than 4096 bytes$/)
  })
})

describe('entries that are no files', () => {
  test.each([
    ['1', 'a hard link'],
    ['2', 'a symbolic link'],
    ['3', 'a character device'],
    ['4', 'a block device'],
    ['6', 'a fifo'],
    ['S', 'a sparse file'],
    ['V', 'of type "V"'],
    ['Z', 'of type "Z"'],
  ])('type %s: refused, naming it', async (type, what) => {
    const entry = tarEntry({ name: 'postgresql/functions/b.sql', type })
    const error = await refusalOf(tarGz(A_FILE, entry))
    expect(error.message).toContain(`"postgresql/functions/b.sql" is ${what}`)
    expect(error.details.file).toBe('postgresql/functions/b.sql')
  })

  test('a sparse file of the pax format: refused', async () => {
    const sparse = paxEntry({ 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0' })
    const error = await refusalOf(tarGz(sparse, A_FILE))
    expect(error.message).toContain('"postgresql/functions/a.sql" is a sparse file')
  })

  test('a contiguous file and the type of old tars are files', async () => {
    const archive = await read(
      tarGz(
        tarEntry({ name: 'postgresql/functions/a.sql', type: '7', data: 'a' }),
        tarEntry({ name: 'postgresql/functions/b.sql', type: '\0', data: 'b', magic: '' }),
      ),
    )
    expect(textByPath(archive)).toEqual({ 'functions/a.sql': 'a', 'functions/b.sql': 'b' })
  })

  test('a folder with data: refused, as tars do not agree where it ends', async () => {
    const folder = tarEntry({ name: 'postgresql/views/', type: '5', data: A_FILE })
    expect((await refusalOf(tarGz(folder))).message).toContain('has 1024 bytes of data')
  })
})

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
    ['two bytes', Buffer.from([0x1f, 0x8b]), 'cut off'],
    ['half a gzip', whole.subarray(0, whole.length / 2), 'The gzip file is cut off'],
    ['a gzip without its last byte', whole.subarray(0, -1), 'The gzip file is cut off'],
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

function withByte(bytes: Buffer, index: number, change: (byte: number) => number): Buffer {
  const copy = Buffer.from(bytes)
  copy[index] = change(copy[index]!)
  return copy
}

describe('tar', () => {
  const two = tar(A_FILE, tarFile('postgresql/functions/b.sql', 'x'.repeat(1000)))

  test.each([
    ['text', Buffer.from('select 1;\n'), 'Not a tar'],
    ['a long text', Buffer.from('select 1;\n'.repeat(100)), 'Not a tar'],
    ['a wrong checksum', withByte(two, 1024 + 105, (b) => b ^ 1), 'header of entry 2 has a wrong'],
    ['a cut header', two.subarray(0, 1024 + 300), 'cut off within the header of entry 2'],
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
    ['8 GiB', '77777777777\0', 'cut off'],
    ['2^88 in base 256', Buffer.from([0x80, ...Array(11).fill(0xff)]), 'cut off'],
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
    const { readArchive } = await import('../../../lib/archive/archive.ts')
    vi.doUnmock('nanotar')
    await expect(readArchive(tarGz(A_FILE), LIMITS)).rejects.toMatchObject({
      code: 'schema_extraction_failed',
      message: 'The archive cannot be read in one way only',
    })
  })
})

function base256(value: number): Buffer {
  const field = Buffer.alloc(12)
  field[0] = 0x80
  field.writeUInt32BE(value, 8)
  return field
}

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
    const start = performance.now()
    const error = await refusalOf(bomb, limits)
    clearInterval(timer)
    peak = Math.max(peak, process.memoryUsage.rss())
    expect(error.message).toContain('more than 67108864 bytes (MAX_UNPACKED_BYTES)')
    expect(performance.now() - start).toBeLessThan(3000)
    expect(peak - before).toBeLessThan((64 + 64) * MIB)
  })

  test('a million entries stop at whichever limit comes first', async () => {
    const header = tarEntry({ name: 'postgresql/functions/a.sql' })
    const member = gzipSync(Buffer.alloc(2 ** 16 * 512, header), { level: 1 })
    const million = Buffer.concat(Array<Buffer>(16).fill(member))
    const start = performance.now()
    const size = await refusalOf(million, { maxUnpackedBytes: 16 * MIB, maxEntries: 10_000 })
    expect(size.message).toContain('MAX_UNPACKED_BYTES')
    const entries = await refusalOf(member, { maxUnpackedBytes: 64 * MIB, maxEntries: 10_000 })
    expect(entries.message).toContain('more than 10000 entries')
    expect(performance.now() - start).toBeLessThan(3000)
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
    const start = performance.now()
    expect(allPaths(await read(tarGz(global, ...files)))).toHaveLength(900)
    expect(performance.now() - start).toBeLessThan(2000)
  })
})

async function zerosGz(size: number): Promise<Buffer> {
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

type Random = (below: number) => number

/** Numbers that are the same in every run (mulberry32). */
function randomFrom(seed: number): Random {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

function headerOffsets(bytes: Buffer): number[] {
  const offsets: number[] = []
  for (let offset = 0; offset < bytes.length; offset += 512) {
    if (bytes.toString('latin1', offset + 257, offset + 262) === 'ustar') offsets.push(offset)
  }
  return offsets
}
