import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createAdminDatabase, dropAdminDatabase, uniqueName } from '../helpers/gateway.ts'
import { textFunction } from '../helpers/platforms.ts'
import { eventually, startProcess, temporaryFolder } from '../helpers/process.ts'
import { notifySocket } from '../helpers/systemd.ts'

let url: string
beforeAll(async () => {
  url = await createAdminDatabase()
})
afterAll(() => dropAdminDatabase(url))

test('systemd hears of start, status, watchdog, reload and end; a reload drops no request', async () => {
  const { path, messages } = await notifySocket()
  const folder = await temporaryFolder()
  const file = join(folder, 'settings')
  await writeFile(file, 'MAX_BODY_BYTES=1000\nADMIN_TOKEN=before\nGATEWAY_HOST=127.0.0.1\n')
  const gateway = await startProcess(
    {
      DATABASE_URL: url,
      SETTINGS_FILE: 'settings',
      NUMERIC_FORMAT: 'number',
      TEMPLATES: 'off',
      NOTIFY_SOCKET: path,
      WATCHDOG_USEC: '1000000',
    },
    folder,
  )
  const count = (name: string) => messages().filter((one) => name in one).length
  await eventually('READY=1', () => count('READY') === 1)
  expect(messages()[0]).toEqual({ STATUS: 'Starting' })
  expect(messages()[1]).toEqual({
    READY: '1',
    STATUS: expect.stringMatching(/^\d+ of \d+ connections, 0 deploys$/),
  })
  await eventually('WATCHDOG=1', () => count('WATCHDOG') > 1)

  const platform = uniqueName('reload')
  await gateway.register(platform, textFunction('ping', 'pong'))
  const base = await gateway.url()
  const status = async (token: string) => {
    const headers = { authorization: `Bearer ${token}` }
    return (await fetch(`${base}/admin/platforms`, { headers })).status
  }
  expect(await status('before')).toBe(200)

  // Calls without a pause, over several reloads.
  let isOver = false
  const answers: number[] = []
  const clients = [1, 2, 3].map(async () => {
    while (!isOver) answers.push((await gateway.call(platform, 'ping')).status)
  })
  const reload = async (text: string) => {
    const before = gateway.entries().length
    const known = messages().length
    await writeFile(file, text)
    gateway.kill('SIGHUP')
    await eventually('READY=1 again', () =>
      messages()
        .slice(known)
        .some((one) => 'READY' in one),
    )
    return gateway
      .entries()
      .slice(before)
      .filter(({ request_id }) => request_id === undefined)
  }
  const told = await reload(
    'MAX_BODY_BYTES=2000\nADMIN_TOKEN=after\nGATEWAY_HOST=0.0.0.0\nNUMERIC_FORMAT=string\n',
  )
  expect(told.map(({ level, message }) => `${level}: ${message}`)).toEqual([
    'info: Settings in force from now on: MAX_BODY_BYTES, ADMIN_TOKEN',
    'warn: Settings that need a restart: GATEWAY_HOST',
    'warn: Settings that the environment of the process has, which goes before the file and cannot change: NUMERIC_FORMAT',
  ])
  expect([await status('before'), await status('after')]).toEqual([401, 200])

  const [wrong, ...more] = await reload('MAX_BODY_BYTES=many\nADMIN_TOKEN=third\n')
  expect(more).toEqual([])
  expect(wrong).toMatchObject({
    level: 'error',
    message:
      'MAX_BODY_BYTES: "many" is not a whole number from 1 to 1073741824; the previous settings stay in force',
  })
  expect(await status('after')).toBe(200)
  isOver = true
  await Promise.all(clients)
  expect(answers.length).toBeGreaterThan(3)
  expect(answers.filter((one) => one !== 200)).toEqual([])

  const reloading = messages().filter((one) => 'RELOADING' in one)
  expect(reloading).toHaveLength(2)
  for (const { MONOTONIC_USEC } of reloading) {
    const ago = Number(process.hrtime.bigint() / 1000n) - Number(MONOTONIC_USEC)
    expect(ago).toBeGreaterThan(0)
    expect(ago).toBeLessThan(60e6)
  }
  gateway.kill('SIGTERM')
  expect(await gateway.exit).toEqual({ code: 0, signal: null })
  await eventually('STOPPING=1', () => count('STOPPING') === 1)
})

test('SIGHUP during the start ends nothing, and the settings are read again once it runs', async () => {
  const { path, messages } = await notifySocket()
  const gateway = await startProcess({ DATABASE_URL: url, TEMPLATES: 'off', NOTIFY_SOCKET: path })
  await eventually('STATUS=Starting', () => messages().length > 0)
  gateway.kill('SIGHUP')
  await gateway.url()
  await gateway.line('The settings have not changed')
  await eventually('READY=1 again', () => messages().filter((one) => 'READY' in one).length === 2)
})

test('SIGHUP while the modules are loaded ends nothing: the settings are read again after the start', async () => {
  const hooks = `
    export async function load(url, context, next) {
      if (/\\/lib\\/start\\.[jt]s/.test(url)) process.kill(process.pid, 'SIGHUP')
      return next(url, context)
    }`
  const moduleOf = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`
  const hangUp = `import { register } from 'node:module'; register(${JSON.stringify(moduleOf(hooks))})`
  const gateway = await startProcess({
    DATABASE_URL: url,
    TEMPLATES: 'off',
    NODE_OPTIONS: `--import=${moduleOf(hangUp)}`,
  })
  await gateway.line('The settings have not changed')
  expect((await fetch(`${await gateway.url()}/health`)).status).toBe(200)
})
