import { copyFile, writeFile } from 'node:fs/promises'
import { connect as connectPlainly, type Socket } from 'node:net'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { afterTest } from './helpers/after-test.ts'
import {
  createAdminDatabase,
  dropAdminDatabase,
  schemaForm,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from './helpers/gateway.ts'
import { askSecurely, keepAlive } from './helpers/https.ts'
import { pack } from './helpers/platforms.ts'
import {
  eventually,
  type GatewayProcess,
  startProcess,
  temporaryFolder,
} from './helpers/process.ts'
import { holdSocket } from './helpers/restarts.ts'
import { tlsPath, trusting } from './helpers/tls.ts'

const TLS = { TLS_CERT_FILE: tlsPath('server.crt'), TLS_KEY_FILE: tlsPath('server.key') }

/** Resolves when it is, with an error or without. */
function closed(socket: Socket): Promise<unknown> {
  return new Promise((resolve) => socket.once('close', resolve))
}

describe('with TLS_CERT_FILE and TLS_KEY_FILE', () => {
  let gateway: TestGateway
  beforeAll(async () => {
    gateway = await startTestGateway(TLS)
  })
  afterAll(() => gateway.stop())

  const register = async (platform: string, text: string) => {
    const archive = await pack({ 'functions/many.pssql': text })
    const form = new Request(gateway.url, { method: 'POST', body: schemaForm(platform, archive) })
    return askSecurely(`${gateway.url}/register`, { method: 'POST', ...trusting() }, form)
  }

  it('deploys, calls and streams over HTTPS', async () => {
    const platform = uniqueName('secure')
    const many = `create or replace function many(n integer) returns setof integer language sql
      as $$ select generate_series(1, n) $$;`
    expect(await register(platform, many)).toMatchObject({ status: 200, server: 'server' })

    const call = (n: number, accept = 'application/json') =>
      askSecurely(
        `${gateway.url}/call`,
        { method: 'POST', headers: { accept }, ...trusting() },
        { platform, function: 'many', params: [n] },
      )
    expect(await call(2)).toMatchObject({
      status: 200,
      body: { rows: [{ many: 1 }, { many: 2 }], row_count: 2 },
    })
    const { body } = await call(50_000, 'application/x-ndjson')
    expect(body.split('\n')).toContain('{"many":50000}')
  })

  it.each([
    ['TLSv1.2', 'TLSv1.2'],
    ['TLSv1.3', 'TLSv1.3'],
  ] as const)('speaks %s', async (maxVersion, protocol) => {
    const answer = await askSecurely(`${gateway.url}/health`, { maxVersion, ...trusting() })
    expect(answer).toMatchObject({ status: 200, protocol })
  })

  it('does not speak TLS 1.1', async () => {
    const versions = {
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    } as const
    const answer = askSecurely(`${gateway.url}/health`, { ...versions, ...trusting() })
    await expect(answer).rejects.toThrow('alert protocol version')
  })

  it('closes a connection of plain HTTP without an answer, and goes on', async () => {
    const socket = connectPlainly(Number(new URL(gateway.url).port), '127.0.0.1')
    let text = ''
    socket.setEncoding('latin1').on('data', (chunk) => {
      text += chunk
    })
    socket.on('error', () => {})
    socket.write('GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n')
    await closed(socket)

    expect(text).not.toContain('HTTP')
    const { status } = await askSecurely(`${gateway.url}/health`, trusting())
    expect(status).toBe(200)
  })

  it('closes a connection on which no handshake begins', async () => {
    const socket = connectPlainly(Number(new URL(gateway.url).port), '127.0.0.1')
    socket.resume().on('error', () => {})
    afterTest(() => socket.destroy())

    await closed(socket)
  })

  it('looks at the address as without', async () => {
    const { status } = await askSecurely(`${gateway.url}/health`, trusting())
    expect(status).toBe(200)
    expect(gateway.logged.at(-1)).toMatchObject({ path: '/health', address: '127.0.0.1' })
  })
})

it('says at the start that the certificate has expired', async () => {
  const gateway = await startTestGateway({
    TLS_CERT_FILE: tlsPath('expired.crt'),
    TLS_KEY_FILE: tlsPath('expired.key'),
  })
  afterTest(() => gateway.stop())

  const entry = await eventually('the warning', () =>
    gateway.logged.find(({ message }) => message.includes('has expired')),
  )
  expect(entry).toMatchObject({ level: 'warn', valid_until: '2021-01-01T00:00:00.000Z' })
})

describe('with TLS_CLIENT_CA_FILE', () => {
  let gateway: TestGateway
  beforeAll(async () => {
    gateway = await startTestGateway({ ...TLS, TLS_CLIENT_CA_FILE: tlsPath('authority.crt') })
  })
  afterAll(() => gateway.stop())

  it('answers a client with a certificate of that authority', async () => {
    const answer = await askSecurely(`${gateway.url}/health`, trusting('client'))
    expect(answer).toMatchObject({ status: 200, body: { status: 'healthy' } })
  })

  it.each([
    ['without a certificate', undefined],
    ['with one of another authority', 'stranger'],
  ])('does not answer a client %s, not even /health', async (_, client) => {
    const before = gateway.logged.length
    await expect(askSecurely(`${gateway.url}/health`, trusting(client))).rejects.toThrow()
    expect(gateway.logged.slice(before)).toEqual([])
  })
})

describe('on SIGHUP', () => {
  /** A gateway whose certificate lies in a folder of its own, as it was copied there. */
  async function startWithFolder(settings: Record<string, string> = {}) {
    const folder = await temporaryFolder()
    const databaseUrl = await createAdminDatabase()
    afterTest(() => dropAdminDatabase(databaseUrl))
    const put = (from: string, to: string) => copyFile(tlsPath(from), join(folder, to))
    await Promise.all([put('server.crt', 'crt'), put('server.key', 'key')])
    await put('authority.crt', 'ca')
    const paths = Object.entries(settings).map(([name, file]) => [name, join(folder, file)])
    const gateway = await startProcess({
      DATABASE_URL: databaseUrl,
      TLS_CERT_FILE: join(folder, 'crt'),
      TLS_KEY_FILE: join(folder, 'key'),
      ...Object.fromEntries(paths),
    })
    return { gateway, folder, put, url: `${await gateway.url()}/health` }
  }

  /** Sends the signal; resolves when there is one more line with the text. */
  async function reload(gateway: GatewayProcess, text: string): Promise<string> {
    const lines = () => gateway.lines().filter((line) => line.includes(text))
    const before = lines().length
    gateway.kill('SIGHUP')
    return eventually('it was read anew', () => lines()[before])
  }

  it('takes a new certificate for new connections, and drops none', async () => {
    const { gateway, put, url } = await startWithFolder()
    const agent = keepAlive(trusting())
    expect(await askSecurely(url, { agent })).toMatchObject({ status: 200, server: 'server' })
    const [socket] = Object.values(agent.freeSockets).flatMap((sockets) => sockets!)

    await Promise.all([put('renewed.crt', 'crt'), put('renewed.key', 'key')])
    const line = await reload(gateway, 'The TLS certificate is loaded')

    expect(JSON.parse(line)).toMatchObject({ level: 'info', valid_until: expect.any(String) })
    expect(await askSecurely(url, trusting())).toMatchObject({ status: 200, server: 'renewed' })
    expect(await askSecurely(url, { agent })).toMatchObject({ status: 200, server: 'server' })
    expect(Object.values(agent.freeSockets).flatMap((sockets) => sockets!)).toEqual([socket])
  })

  it.each([
    ['a key of another certificate', 'key', 'TLS_KEY_FILE: '],
    ['something that is no certificate', 'crt', 'TLS_CERT_FILE: '],
  ])('stays with the old one where there is %s, and says so', async (_, file, message) => {
    const { gateway, folder, put, url } = await startWithFolder()
    if (file === 'key') await put('renewed.key', file)
    else await writeFile(join(folder, file), 'no certificate')
    const line = await reload(gateway, 'the previous certificate stays in use')

    const entry = JSON.parse(line)
    expect(entry.level).toBe('error')
    expect(entry.message.startsWith(message)).toBe(true)
    expect(await askSecurely(url, trusting())).toMatchObject({ status: 200, server: 'server' })

    await Promise.all([put('renewed.crt', 'crt'), put('renewed.key', 'key')])
    await reload(gateway, 'The TLS certificate is loaded')
    expect(await askSecurely(url, trusting())).toMatchObject({ status: 200, server: 'renewed' })
  })

  it('lets in clients of another authority, and no more of the old one, with a session or without', async () => {
    const { gateway, put, url } = await startWithFolder({ TLS_CLIENT_CA_FILE: 'ca' })
    const { port } = new URL(url)
    const session = await new Promise<Buffer>((resolve, reject) => {
      const socket: TLSSocket = connect({
        port: Number(port),
        host: '127.0.0.1',
        ...trusting('client'),
      })
      socket.on('error', reject).once('session', resolve)
      afterTest(() => socket.destroy())
    })
    // What it is for: the gateway takes it as long as nothing has changed.
    const again = await askSecurely(url, { session, ...trusting('client') })
    expect(again).toMatchObject({ status: 200, isResumed: true })

    await put('other-authority.crt', 'ca')
    await reload(gateway, 'The TLS certificate is loaded')

    expect(await askSecurely(url, trusting('stranger'))).toMatchObject({ status: 200 })
    await expect(askSecurely(url, trusting('client'))).rejects.toThrow()
    await expect(askSecurely(url, { session, ...trusting('client') })).rejects.toThrow()
  })

  it('goes on where there is no certificate', async () => {
    const databaseUrl = await createAdminDatabase()
    afterTest(() => dropAdminDatabase(databaseUrl))
    const gateway = await startProcess({ DATABASE_URL: databaseUrl })
    await gateway.url()
    await reload(gateway, 'The settings have not changed')

    expect(await gateway.get('/health')).toMatchObject({ status: 200 })
  })
})

it('listens with TLS on a socket that somebody else holds, and stops with nothing lost', async () => {
  const socket = holdSocket()
  const databaseUrl = await createAdminDatabase()
  afterTest(() => dropAdminDatabase(databaseUrl))
  const gateway = await startProcess({ DATABASE_URL: databaseUrl, ...TLS }, undefined, socket.fd)
  expect(await gateway.url()).toBe(`https://127.0.0.1:${socket.port}`)
  const url = `https://127.0.0.1:${socket.port}/health`
  const agent = keepAlive(trusting())
  expect(await askSecurely(url, { agent })).toMatchObject({ status: 200, server: 'server' })

  gateway.kill('SIGTERM')
  await gateway.line('SIGTERM: stopping')
  expect(await askSecurely(url, { agent })).toMatchObject({ status: 200 })
  expect(await gateway.exit).toEqual({ code: 0, signal: null })
})

it.each([
  ['TLS_KEY_FILE', { ...TLS, TLS_KEY_FILE: tlsPath('renewed.key') }],
  ['TLS_CERT_FILE', { TLS_CERT_FILE: TLS.TLS_CERT_FILE }],
])(
  'a setting that is wrong ends the start with one line that names it: %s',
  async (name, settings) => {
    const gateway = await startProcess(settings)

    expect(await gateway.exit).toEqual({ code: 1, signal: null })
    expect(gateway.entries()).toEqual([
      { time: expect.any(String), level: 'error', message: expect.stringMatching(`^${name}: `) },
    ])
  },
)
