import { describe, expect, test } from 'vitest'
import { longNameEntry, paxEntry, tarEntry, tarFile, tarGz } from '../../../helpers/tar.ts'

import { A_FILE, allPaths, read, refusalOf, textByPath } from './setup.ts'

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
