import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { normalise } from '../../cli/args.ts'
import { command, GATEWAY_ARGS, JSON_ARG, UsageError } from '../../cli/command.ts'
import { COMMANDS } from '../../cli/commands.ts'
import { commandAgain } from '../../cli/fleet/again.ts'
import { send } from '../../cli/gateway/client.ts'
import { readTarget } from '../../cli/gateway/target.ts'
import { hasColor, processIo } from '../../cli/io.ts'
import { makeFolder } from '../../cli/make-folder.ts'
import { writeNew } from '../../cli/schema/folder.ts'
import { migrationFile } from '../../cli/schema/new-files.ts'
import packageJson from '../../package.json' with { type: 'json' }
import { cli, cliOutput } from '../helpers/cli.ts'
import { temporaryFolder } from '../helpers/process.ts'

describe('what was typed', () => {
  const { args } = command({
    args: { ...GATEWAY_ARGS, ...JSON_ARG, name: { type: 'positional', required: false } },
    run: async () => undefined,
  })

  test.each<[string[], string[]]>([
    [
      ['a', '--json'],
      ['--json', '--', 'a'],
    ],
    [
      ['--url', 'http://x', 'a'],
      ['--url=http://x', '--', 'a'],
    ],
    [['--url=http://x?a=b'], ['--url=http://x?a=b', '--']],
    [
      ['--no-json', '-5'],
      ['--no-json', '--', '-5'],
    ],
    [
      ['--', '--json'],
      ['--', '--json'],
    ],
    [
      ['--platform=--json', '--token', '-x'],
      ['--platform=--json', '--token=-x', '--'],
    ],
  ])('%j is read as %j', (typed, read) => {
    expect(normalise(typed, args)).toEqual(read)
  })

  test.each<[string[], string]>([
    [['--jsn'], 'Unknown flag: --jsn (is --json meant?)'],
    [['-x'], 'Unknown flag: -x'],
    [['--url'], '--url needs a value'],
    [['--url', '--json'], '--url needs a value (--json would be one as --url=--json)'],
    [['--url', '--'], '--url needs a value (-- would be one as --url=--)'],
    [['--url', ''], '--url is empty'],
    [['--url='], '--url is empty'],
    [['--json=1'], '--json takes no value'],
    [['--json', '--json'], '--json is given twice'],
    [['--no-url'], 'Unknown flag: --no-url'],
    [['a', 'b'], 'Unexpected argument: b'],
    [[''], 'The name is empty'],
  ])('%j is refused', (typed, message) => {
    expect(() => normalise(typed, args)).toThrow(new UsageError(message))
  })
})

describe('the exit code', () => {
  test.each<[string[], number, string]>([
    [[], 2, 'A command is missing: start, '],
    [['--platform=a', 'status'], 2, 'A command comes first, and --platform behind it'],
    [['regster'], 2, 'Unknown command: regster (is register meant?)'],
    [['new'], 2, 'A command is missing: migration, function'],
    [['new', 'function'], 2, 'Missing required positional argument: NAME'],
    [['new', 'function', 'No'], 2, 'A name has lower-case letters'],
    [['completion', 'tcsh'], 2, 'Unknown shell: tcsh; it is one of bash, zsh, fish'],
    [['register', '--platform', 'p', '--url', 'localhost'], 2, 'must begin with http://'],
    [['status', '--platform', 'p', '--url', 'http://x:99999'], 2, 'The URL of the gateway is none'],
    [
      ['status', '--platform', 'p', '--url', 'http://x/\u001b[m'],
      2,
      'The URL of the gateway is none',
    ],
    [['register', '', '--platform', 'p'], 2, 'The folder is empty'],
    [['status', '--platform', 'p', '--url', 'http://u:pw@x'], 2, 'has neither a user, a password'],
    [['status', '--platform', 'p', '--url', 'http://x?a=b'], 2, 'has neither a user, a password'],
    [
      ['status', '--platform', 'p', '--url', 'HTTP://127.0.0.1:1'],
      1,
      'No gateway answers at http:',
    ],
    [['register'], 2, 'Which platform? Give --platform'],
    [['status', '--platform', 'p', '--url', 'http://127.0.0.1:1'], 1, 'No gateway answers at'],
    [['register', '--platform', 'p'], 2, 'There is no folder'],
  ])('of %j is %i', async (args, code, words) => {
    const result = await cli(args)
    expect(result).toMatchObject({ code, out: '' })
    expect(result.err).toContain(words)
  })

  test('of --help and --version is 0', async () => {
    expect(await cli(['--version'])).toEqual({ code: 0, out: `${packageJson.version}\n`, err: '' })
    const help = await cliOutput(['--help'])
    for (const name of Object.keys(COMMANDS)) expect(help).toContain(name)
    expect(await cliOutput(['new', 'migration', '-h'])).toContain('new migration')
    expect(await cliOutput(['call', '--help'])).toContain('[OPTIONS] <FUNCTION> [...]\n')
    // What stands behind -- is an argument.
    expect(await cli(['new', 'function', '--', '--help'])).toMatchObject({ code: 2 })
  })
})

test('a server that says nothing is no gateway', async () => {
  const mute = createServer(() => {}).listen(0, '127.0.0.1')
  onTestFinished(() => void mute.close())
  await once(mute, 'listening')
  const url = `http://127.0.0.1:${(mute.address() as AddressInfo).port}`
  const target = { url, platform: undefined, tenant: undefined, token: undefined }
  await expect(send(target, '/live', { patienceMs: 100 })).rejects.toThrow(
    `No gateway answers at ${url}: it says nothing for 0.1 s`,
  )
})

test('files that cannot all be written are not written', async () => {
  const folder = await temporaryFolder()
  await writeFile(join(folder, 'b'), '')
  const writing = writeNew(folder, { 'a/one.sql': 'x', 'b/two.sql': 'y' })
  await expect(writing).rejects.toThrow('Nothing is written: ')
  expect(await readdir(folder, { recursive: true })).toEqual(['a', 'b'])
})

describe('the target', () => {
  const read = (args: Record<string, string>, env: Record<string, string>, folder: string) =>
    readTarget(args, { ...processIo(), env, folder })

  test('comes from flags, the environment, the nearest gateway.json, and defaults', async () => {
    const folder = await temporaryFolder()
    const inside = join(folder, 'a/b')
    await mkdir(inside, { recursive: true })
    await writeFile(
      join(folder, 'gateway.json'),
      '{"url":"http://file:1/","platform":"file","tenant":"file"}',
    )
    const env = { GATEWAY_PLATFORM: 'env', GATEWAY_TENANT: 'env', GATEWAY_URL: '' }
    expect(read({ tenant: 'flag' }, env, inside)).toEqual({
      url: 'http://file:1',
      platform: 'env',
      tenant: 'flag',
      token: undefined,
    })
    expect(read({}, {}, '/nowhere')).toEqual({ url: 'http://127.0.0.1:9000' })
  })

  test.each([
    ['{', /is not JSON/],
    ['[]', /must be a JSON object/],
    ['{"plaform":"x"}', /unknown member "plaform" \(is platform meant\?\)/],
    ['{"url":5}', /url must be a text/],
    ['{"tenant":""}', /tenant is empty; leave it out/],
  ])('is refused in a gateway.json of %s', async (text, message) => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'gateway.json'), text)
    expect(() => read({}, {}, folder)).toThrow(message)
  })

  test('is read in a gateway.json that begins with a byte order mark', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'gateway.json'), '\ufeff{"platform":"p"}\r\n')
    expect(read({}, {}, folder)).toMatchObject({ platform: 'p' })
  })

  test('a token of the environment goes to no other machine that a gateway.json names', async () => {
    const folder = await temporaryFolder()
    const url = 'https://gw.example'
    const name = (settings: object) =>
      writeFile(join(folder, 'gateway.json'), JSON.stringify(settings))
    const env = { GATEWAY_TOKEN: 'secret' }
    await name({ url })
    expect(() => read({}, env, folder)).toThrow(
      `GATEWAY_TOKEN is not sent to ${url}, which ${folder}/gateway.json names`,
    )
    const sent = { url, token: 'secret' }
    expect(read({}, { ...env, GATEWAY_URL: url }, folder)).toMatchObject(sent)
    expect(read({ url }, env, folder)).toMatchObject(sent)
    expect(read({ token: 'secret' }, {}, folder)).toMatchObject(sent)
    await name(sent)
    expect(read({}, {}, folder)).toMatchObject(sent)
    await name({ url: 'http://localhost:9000' })
    expect(read({}, env, folder)).toMatchObject({ token: 'secret' })
  })

  test.skipIf(process.getuid?.() !== 0)(
    'a gateway.json above of another user does not count',
    async () => {
      const folder = await temporaryFolder()
      const inside = join(folder, 'a')
      await mkdir(inside)
      await writeFile(join(folder, 'gateway.json'), '{"platform":"x"}')
      await chown(join(folder, 'gateway.json'), 65534, 65534)
      expect(read({}, {}, inside).platform).toBeUndefined()
      expect(read({}, {}, folder).platform).toBe('x')
      await chown(inside, 65534, 65534)
      expect(read({}, {}, inside).platform).toBe('x')
    },
  )

  test('colour is for terminals, unless NO_COLOR or FORCE_COLOR say otherwise', () => {
    expect(hasColor({}, true)).toBe(true)
    expect(hasColor({}, false)).toBe(false)
    expect(hasColor({ NO_COLOR: '1' }, true)).toBe(false)
    expect(hasColor({ TERM: 'dumb' }, true)).toBe(false)
    expect(hasColor({ FORCE_COLOR: '1' }, false)).toBe(true)
  })
})

test('the command that does what is left can be pasted into a shell', () => {
  const label = "plan:$pro,name:o'neill"
  expect(commandAgain(['migrate', 'my shop'], { label, all: true })).toBe(
    "database-gateway migrate 'my shop' --label 'plan:$pro,name:o'\\''neill' --all",
  )
  expect(commandAgain(['migrate', '-old'], { skip: '-a b' })).toBe(
    "database-gateway migrate ./-old '--skip=-a b'",
  )
})

describe('files', () => {
  test('init writes a schema, and nothing where a file exists', async () => {
    const folder = await temporaryFolder()
    const output = await cliOutput(['init', 'shop'], { folder })
    expect(output).toBe(`+ postgresql/migrations/001_notes.pssql
+ postgresql/functions/add_note.pssql
+ postgresql/functions/list_notes.pssql
+ tests/notes.sql
+ gateway.json

Next
  cd shop
  database-gateway start           # a gateway, in another terminal
  database-gateway register        # deploy to shop_main
  database-gateway call add_note "Buy milk"
`)
    expect(JSON.parse(await readFile(join(folder, 'shop/gateway.json'), 'utf8'))).toEqual({
      platform: 'shop',
    })
    const again = await cli(['init', 'shop', '--json'], { folder })
    expect(again.code).toBe(1)
    expect(JSON.parse(again.out)).toEqual({
      error: 'failed',
      message: expect.stringContaining('Nothing is written: postgresql/migrations/001_notes.pssql'),
    })
  })

  test('new adds the next migration and a function', async () => {
    const folder = await temporaryFolder()
    await cliOutput(['init', '.', '--platform', 'shop'], { folder })
    const add = (...args: string[]) => cliOutput(['new', ...args], { folder })
    expect(await add('migration', 'due')).toBe('postgresql/migrations/002_due.pssql\n')
    await writeFile(join(folder, 'postgresql/migrations/0099_x.sql'), '')
    expect(await add('migration', 'more')).toBe('postgresql/migrations/0100_more.sql\n')
    expect(await add('function', 'greet')).toBe('postgresql/functions/greet.pssql\n')
    expect(await cli(['new', 'function', 'greet'], { folder })).toMatchObject({ code: 1 })
  })

  test.each([
    [['V1__init.sql', 'V2__b.sql'], 'V3__next.sql'],
    [['r2/09_a.sql'], 'r2/10_next.sql'],
    [['20240102030405_a.sql'], '20240102030406_next.sql'],
    [['9_a', '10_b'], '11_next.pssql'],
    [['init.sql'], undefined],
    [['001_a.sql', 'R__views.sql'], undefined],
    [['1_a.sql', 'V1__b.sql', 'z/a.sql'], undefined],
  ])('behind %j the next migration is %s', (existing, next) => {
    const make = () => migrationFile(existing, 'next').path
    if (next !== undefined) return expect(make()).toBe(`migrations/${next}`)
    expect(make).toThrow(`${existing.at(-1)} would run after`)
  })

  test('init names a platform after the folder, however long its name is', async () => {
    const folder = join(await temporaryFolder(), 'a'.repeat(80))
    await mkdir(folder)
    await cliOutput(['init'], { folder })
    expect(JSON.parse(await readFile(join(folder, 'gateway.json'), 'utf8'))).toEqual({
      platform: 'a'.repeat(58),
    })
    expect(await cliOutput(['init', '--', '-x'], { folder })).toContain('cd ./-x\n')
  })

  test('a folder that takes no other is told', async () => {
    await expect(makeFolder('/proc/nothing/more')).rejects.toThrow('ENOENT')
    const folder = await temporaryFolder()
    await Promise.all(['a/b/c', 'a/b/d', 'a'].map((path) => makeFolder(join(folder, path))))
    expect((await readdir(folder, { recursive: true })).sort()).toEqual([
      'a',
      'a/b',
      'a/b/c',
      'a/b/d',
    ])
  })
})

describe('completion', () => {
  const complete = async (line: string[]) => {
    const script = await cliOutput(['completion', 'bash'])
    const words = line.map((word) => `'${word}'`).join(' ')
    const asked = `COMP_WORDS=(${words}); COMP_CWORD=${line.length - 1}; _database_gateway; echo "\${COMPREPLY[*]}"`
    const { stdout, stderr } = spawnSync('bash', ['-c', `${script}\n${asked}`], {
      encoding: 'utf8',
    })
    expect(stderr).toBe('')
    return stdout.trim()
  }

  test('of bash knows commands and their flags', async () => {
    expect(await complete(['database-gateway', 'compl'])).toBe('completion')
    expect(await complete(['database-gateway', 'new', ''])).toBe('migration function --help')
    expect(await complete(['database-gateway', 'start', '--po'])).toBe('--port')
  })

  test.each(['zsh', 'fish'])('of %s parses where that shell is installed', async (shell) => {
    const script = await cliOutput(['completion', shell])
    expect(script).toContain('migration')
    const { error, status, stderr } = spawnSync(shell, ['-n'], { input: script, encoding: 'utf8' })
    if (!error) expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })
})
