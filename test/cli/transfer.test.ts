import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { chmod, open, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { promisify } from 'node:util'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { writeChanged } from '../../cli/schema/write-changed.ts'
import { writeWholeFile } from '../../cli/whole-file.ts'
import { afterTest } from '../helpers/after-test.ts'
import { CLI_PROGRAM, type CliOptions, cli, startCli } from '../helpers/cli.ts'
import { findTools, makeNoise } from '../helpers/dumps.ts'
import { startOneGateway } from '../helpers/for-file.ts'
import { uniqueName } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { temporaryFolder } from '../helpers/process.ts'

// tenants export and import. PostgreSQL 15, where CI runs them too, has its pg_dump at hand; without
// one they are refused, and leave nothing.

const platform = uniqueName('p')
const gateway = await startOneGateway({ TEMPLATES: 'off' })
const env = { GATEWAY_URL: gateway.url, GATEWAY_PLATFORM: platform }
let hasTools: boolean
let folder: string
beforeAll(async () => {
  hasTools = (await findTools()) !== undefined
  await gateway.register(platform, await pack(textFunction('ping', 'pong')), 't')
  // 400 KB: more than a pipe holds.
  await makeNoise(`${platform}_t`, 'noise', 8)
})
beforeEach(async () => {
  folder = await temporaryFolder()
})

const run = (args: string[], options: CliOptions = {}) =>
  cli(['tenants', ...args], { folder, env, ...options })
const drop = (id: string) =>
  gateway.post('/admin/drop-tenant', {
    ...{ platform, tenant_id: id, confirm: `${platform}_${id}`, dump: false },
  })
const refused = { code: 1, err: expect.stringContaining('dump_not_available') }

test('without a file, a dump does not go to a terminal, and is not asked of one', async () => {
  const toTerminal = await run(['export', 't'])
  expect([toTerminal.code, toTerminal.err]).toEqual([2, expect.stringContaining('--file')])
  const fromTerminal = await run(['import', 'u'], { input: 'terminal' })
  expect([fromTerminal.code, fromTerminal.err]).toEqual([2, expect.stringContaining('--file')])
  expect(await run(['export', 't', '--json'])).toMatchObject({ code: 2 })
  const absent = await run(['import', 'u', '--file', 'none.dump'])
  expect(absent).toMatchObject({
    code: 1,
    err: expect.stringContaining('none.dump cannot be read'),
  })
})

test('a tenant is exported to a file and imported from it', async () => {
  await writeFile(join(folder, 't.dump'), 'before')
  const exported = await run(['export', 't', '--file', 't.dump'])
  if (!hasTools) {
    expect(exported).toMatchObject(refused)
    expect(await readdir(folder)).toEqual(['t.dump'])
    expect(await readFile(join(folder, 't.dump'), 'utf8')).toBe('before')
    expect(await run(['import', 'u', '--file', 't.dump'])).toMatchObject(refused)
    return
  }
  expect(exported).toEqual({
    code: 0,
    out: expect.stringMatching(/^✓ t is exported to t\.dump \(\d+\.\d kB\)\n$/),
    err: '',
  })
  expect(await readdir(folder)).toEqual(['t.dump'])
  const { size, mode } = await stat(join(folder, 't.dump'))
  expect(mode & 0o777).toBe(0o600)

  const imported = await run(['import', 'u', '--file', 't.dump', '--label', 'a:b,c:d', '--json'])
  expect(JSON.parse(imported.out)).toMatchObject({ bytes: size, labels: { a: 'b', c: 'd' } })
  expect((await gateway.call(platform, 'ping', [], 'u')).body.rows).toEqual([{ ping: 'pong' }])
  // What is refused at once is not sent.
  const again = await run(['import', 'u', '--file', 't.dump'])
  expect(again).toMatchObject({ code: 1, err: expect.stringContaining('database_already_exists') })
  await drop('u')

  const half = (await readFile(join(folder, 't.dump'))).subarray(0, size >> 1)
  await writeFile(join(folder, 'half.dump'), half)
  const cut = await run(['import', 'u', '--file', 'half.dump'])
  expect(cut).toMatchObject({ code: 1, err: expect.stringContaining('import_failed') })
  const broken = Readable.from(
    (async function* () {
      yield half
      throw new Error('no disk')
    })(),
  )
  const unread = await run(['import', 'u'], { input: broken })
  expect(unread).toMatchObject({ code: 1, err: expect.stringContaining('cannot be read: no disk') })
  expect((await gateway.call(platform, 'ping', [], 'u')).status).toBe(404)
})

test('one program sends the dump to another; a reader that leaves makes the export fail', async () => {
  const program = `${CLI_PROGRAM} tenants`
  const script = `
    ${program} export t | ${program} import v
    echo "\${PIPESTATUS[@]}"
    ${hasTools ? '' : 'exit'}
    ${program} export t | head -c 5
    echo " \${PIPESTATUS[@]}"`
  const { stdout, stderr } = await promisify(execFile)('bash', ['--norc', '-c', script], {
    env: { PATH: process.env.PATH!, ...env },
  })
  if (!hasTools) {
    expect(stdout).toBe('1 1\n')
    expect(stderr).toContain('dump_not_available')
    return
  }
  const imported = new RegExp(`^✓ ${platform}_v is imported \\(\\d+\\.\\d kB\\)\n0 0\nPGDMP 1 0\n$`)
  expect(stdout).toMatch(imported)
  expect(stderr).toMatch(/^t is exported \(\d+\.\d kB\)\n$/)
  await drop('v')
})

test('an export that is cut, or that Ctrl-C ends, leaves no file', async () => {
  const url = await cutAfter(100_000)
  const cut = await run(['export', 't', '--file', 't.dump'], {
    env: { ...env, GATEWAY_URL: url },
  })
  if (!hasTools) return expect(cut).toMatchObject(refused)
  expect(cut).toMatchObject({
    code: 1,
    err: expect.stringMatching(/^The connection to http\S+ broke, and the dump is cut: /),
  })
  expect(await readdir(folder)).toEqual([])

  // The output takes nothing, so that the export goes on until Ctrl-C.
  const stuck = new Writable({ highWaterMark: 1, write: () => running.interrupt() })
  const running = startCli(['tenants', 'export', 't'], { folder, env, bytesOut: stuck })
  expect(await running.ended).toMatchObject({ code: 1, err: 'Cancelled: the dump is cut\n' })
})

test('a file is there when it is whole; links and devices stay what they are', async () => {
  const path = join(folder, 'file')
  const write = (text: string) => async (to: Writable) => {
    to.write(text)
  }
  await writeWholeFile(path, write('first'))
  await symlink(path, join(folder, 'link'))
  await writeWholeFile(join(folder, 'link'), async (to) => {
    to.write('second')
    expect(await readFile(path, 'utf8')).toBe('first')
  })
  expect(await readFile(path, 'utf8')).toBe('second')
  const failing = writeWholeFile(path, async (to) => {
    to.write('third')
    throw new Error('cut')
  })
  await expect(failing).rejects.toThrow('cut')
  expect(await readFile(path, 'utf8')).toBe('second')
  expect((await readdir(folder)).sort()).toEqual(['file', 'link'])
  await writeWholeFile('/dev/null', write('gone'))
  expect((await stat('/dev/null')).isCharacterDevice()).toBe(true)
  await expect(writeWholeFile(folder, write('x'))).rejects.toThrow('is a folder')
  await expect(writeWholeFile(join(folder, 'no/file'), write('x'))).rejects.toThrow('ENOENT')
})

test('a document takes the place of the one before at once, with its permissions', async () => {
  const path = join(folder, 'types/db.ts')
  expect(await writeChanged(path, Buffer.from('one'))).toBe(true)
  expect((await stat(path)).mode & 0o777).toBe(0o666 & ~process.umask())
  await chmod(path, 0o640)
  // Whoever has it open reads it to its end.
  const before = await open(path)
  expect(await writeChanged(path, Buffer.from('another'))).toBe(true)
  expect(await before.readFile('utf8')).toBe('one')
  await before.close()
  expect(await readFile(path, 'utf8')).toBe('another')
  expect((await stat(path)).mode & 0o777).toBe(0o640)
  expect(await writeChanged(path, Buffer.from('another'))).toBe(false)
  const full = writeChanged('/dev/full', Buffer.from('x'))
  await expect(full).rejects.toThrow('/dev/full cannot be written: ENOSPC')
})

/** Starts a proxy that cuts the connection after so many bytes of an answer; returns its URL. */
async function cutAfter(bytes: number): Promise<string> {
  const { hostname, port } = new URL(gateway.url)
  const proxy = createServer((client) => {
    const server = connect(Number(port), hostname)
    let sent = 0
    client.on('error', () => {}).pipe(server)
    server
      .on('error', () => {})
      .on('data', (data) => {
        sent += data.length
        client.write(data)
        if (sent > bytes) server.destroy()
      })
    server.on('close', () => client.destroySoon())
    client.on('close', () => server.destroy())
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  afterTest(() => proxy.close())
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
}
