import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type EmbeddedPostgres, startEmbedded } from '../lib/postgres/embedded.ts'
import { parseDatabaseUrl } from '../lib/postgres/hosts/server.ts'
import { schemaForm, uniqueName } from './helpers/gateway.ts'
import { type Files, pack, textFunction } from './helpers/platforms.ts'
import {
  eventually,
  freePort,
  type GatewayProcess,
  startProcess,
  temporaryFolder,
} from './helpers/process.ts'
import { filesWithTraces, tracesOf, visibleTo } from './helpers/traces.ts'

/** The part of each secret that is searched for is letters and digits; around it is everything. */
const MARKS = {
  password: uniqueName('passwordmark'),
  replica: uniqueName('replicamark'),
  token: uniqueName('tokenmark'),
  secret: uniqueName('secretmark'),
  hook: uniqueName('hookmark'),
  signing: uniqueName('signingmark'),
}
const secrets = Object.values(MARKS)
const password = `:"\\%/@ '${MARKS.password}'?#&,`
const token = `!"\\${MARKS.token}%`
const SETTINGS = {
  LOG_LEVEL: 'trace',
  ADMIN_TOKEN: token,
  GATEWAY_SECRET: `"\\%${MARKS.secret}${'-'.repeat(32)}`,
  // Nobody listens there, so that deliveries fail.
  WEBHOOK_URL: `http://127.0.0.1:1/${MARKS.hook}`,
  WEBHOOK_SECRET: MARKS.signing.padEnd(32, '-'),
  START_TIMEOUT_SECS: '0',
  CONNECT_TIMEOUT_SECS: '2',
}

let server: EmbeddedPostgres
let dataDir: string
let url: string
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'gateway-test-'))
  server = await startEmbedded({ dataDir, settings: { fsync: 'off' } })
  const { user, host, port, database, ...own } = parseDatabaseUrl(server.url)
  const sql = postgres({ user, host, port, database, password: own.password, max: 1 })
  await sql.unsafe(`alter role gateway password '${password.replaceAll("'", "''")}'`)
  await sql.end()
  url = urlOf(password)
})
afterAll(async () => {
  await server.stop()
  await rm(dataDir, { recursive: true, force: true })
})

function urlOf(secret: string, host = parseDatabaseUrl(server.url).host): string {
  return `postgres://gateway:${encodeURIComponent(secret)}@${encodeURIComponent(host)}/gateway?sslmode=disable`
}

/** Whatever a gateway answers, as text. */
async function ask(gateway: GatewayProcess, path: string, init: RequestInit = {}): Promise<string> {
  const response = await fetch((await gateway.url()) + path, init)
  return `${response.status} ${JSON.stringify([...response.headers])} ${await response.text()}`
}

const json = (body: unknown): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: typeof body === 'string' ? body : JSON.stringify(body),
})

const FUNCTIONS: Files = {
  'functions/settings.pssql': `create function settings() returns setof text language sql stable
    as $$ select name || '=' || setting from pg_settings union all
          select to_jsonb(a)::text from pg_stat_activity a union all
          select to_jsonb(d)::text from pg_database d $$;`,
  'functions/fail.pssql': `create function fail() returns void language plpgsql
    as $$ begin execute 'select no_such_column from nothing'; end $$;`,
  'functions/leave.pssql': `create function leave() returns void language sql
    as $$ select pg_terminate_backend(pg_backend_pid()) $$;`,
}

/** Requests of all kinds, those that fail above all. */
async function askEverything(gateway: GatewayProcess, platform: string): Promise<string[]> {
  const archive = await pack({ ...FUNCTIONS, ...textFunction('ping', 'pong') })
  const broken = await pack({ 'migrations/001_broken.pssql': "select 'x'::no_such_type" })
  const form = (path: string, data: Uint8Array) =>
    [path, { method: 'POST', body: schemaForm(platform, data) }] as const
  const call = (name: string) => ['/call', json({ platform, function: name })] as const
  const admin = (path: string, bearer: string) =>
    [path, { headers: { authorization: `Bearer ${bearer}` } }] as const
  const requests: (readonly [string, RequestInit?])[] = [
    form('/register', broken),
    form('/register', archive),
    form('/migrate', broken),
    form('/migrate', Buffer.from('no archive')),
    ...['ping', 'settings', 'fail', 'leave', 'no_such_function'].map(call),
    ['/call', json('{"platform":')],
    ['/batch', json({ platform, calls: [{ function: 'fail' }] })],
    ['/health'],
    ['/nowhere'],
    ['/%zz'],
    ['/health', { headers: { 'x-forwarded-for': 'nobody' } }],
    ...[
      '/metrics',
      '/admin/pools',
      '/admin/audit',
      `/admin/databases?platform=${platform}`,
    ].flatMap((path) => [admin(path, token), admin(path, 'wrong'), [path] as const]),
  ]
  const answers: string[] = []
  for (const [path, init] of requests) answers.push(await ask(gateway, path, init))
  return answers
}

/** Undefined where it is still being written. */
function wholeJson(text: string): string | undefined {
  try {
    JSON.parse(text)
    return text
  } catch {
    return undefined
  }
}

test('a secret is recognized in each of its forms', () => {
  const { password: mark } = MARKS
  const whole = `:"\\%/@ '${mark}'`
  const forms = [
    whole,
    encodeURIComponent(whole),
    JSON.stringify(JSON.stringify(whole)),
    Buffer.from(whole).toString('hex'),
    ...['', 'u', 'us'].map((user) => Buffer.from(user + whole).toString('base64')),
  ]
  for (const form of forms) expect(tracesOf(secrets, `a ${form} b`)).toEqual([mark])
  expect(tracesOf(secrets, 'nothing of them')).toEqual([])
})

describe('no secret is told', () => {
  test('by answers and the log, whatever is asked and whatever fails', async () => {
    const unreachable = `postgres://reader:${encodeURIComponent(`"${MARKS.replica}%`)}@127.0.0.1:${await freePort()}/x`
    const temporary = await temporaryFolder()
    const gateway = await startProcess({
      ...SETTINGS,
      DATABASE_URL: url,
      DATABASE_READ_URLS: unreachable,
      TMPDIR: temporary,
    })
    const answers = await askEverything(gateway, uniqueName('p'))
    // It was all these things that were asked for.
    const statuses = new Set(answers.map((answer) => answer.slice(0, 3)))
    expect([...statuses]).toEqual(
      expect.arrayContaining(['200', '401', '400', '404', '422', '500']),
    )
    expect(tracesOf(secrets, answers.join('\n'))).toEqual([])
    if (existsSync('/proc/self/environ')) {
      const { text } = await visibleTo(gateway.pid)
      expect(text).toMatch(/server\.[jt]s/)
      expect(tracesOf(secrets, text)).toEqual([])
    }
    gateway.kill('SIGTERM')
    expect(await gateway.exit).toEqual({ code: 0, signal: null })
    expect(gateway.output()).toContain('/admin/audit')
    expect(tracesOf(secrets, gateway.output())).toEqual([])
    expect(await filesWithTraces(secrets, temporary)).toEqual([])
  })

  test.each<[string, (mark: string) => Record<string, string>, RegExp]>([
    [
      'a wrong password',
      (mark) => ({ DATABASE_URL: urlOf(mark) }),
      /password authentication failed/,
    ],
    [
      'a server that is not there',
      (mark) => ({ DATABASE_URL: `postgres://gateway:${mark}@127.0.0.1:1/gateway` }),
      /does not answer/,
    ],
    [
      'a host without a name',
      (mark) => ({ DATABASE_URL: urlOf(mark, 'no-such-host.invalid') }),
      /PostgreSQL at gateway@/,
    ],
    [
      'a password with an @',
      (mark) => ({ DATABASE_URL: `postgres://u:${mark}/@h/db` }),
      /DATABASE_URL/,
    ],
    [
      'a password with a percent sign',
      (mark) => ({ DATABASE_URL: `postgres://u:%zz${mark}@h/db` }),
      /percent sign/,
    ],
    ['no URI', (mark) => ({ DATABASE_URL: `host=h password=${mark}` }), /DATABASE_URL/],
    [
      'a wrong parameter',
      (mark) => ({ DATABASE_URL: `postgres://u:${mark}@h/db?pass=${mark}` }),
      /unknown parameter/,
    ],
    [
      'a replica that is no URI',
      (mark) => ({
        DATABASE_URL: url,
        DATABASE_READ_URLS: `postgres://u:${mark}@h/db,u:${mark}@h`,
      }),
      /DATABASE_READ_URLS/,
    ],
  ])('by the last words of a gateway that does not start: %s', async (_, settings, words) => {
    const gateway = await startProcess({ ...SETTINGS, ...settings(MARKS.replica) })
    expect((await gateway.exit).code).toBe(1)
    expect(gateway.output()).toMatch(words)
    expect(tracesOf(secrets, gateway.output())).toEqual([])
  })

  test.each(['a signal', 'a crash'])('by the report that Node.js writes at %s', async (when) => {
    const folder = await temporaryFolder()
    const crash = join(folder, 'crash.mjs')
    await writeFile(crash, `process.on('SIGHUP', () => { throw new Error('crashed') })`)
    const options = [
      ...['--report-on-signal', '--report-uncaught-exception', `--report-directory=${folder}`],
      ...(when === 'a crash' ? ['--import', crash] : []),
    ]
    const gateway = await startProcess({
      ...SETTINGS,
      DATABASE_URL: url,
      NODE_OPTIONS: options.join(' '),
    })
    await gateway.url()
    gateway.kill(when === 'a crash' ? 'SIGHUP' : 'SIGUSR2')
    const report = await eventually('a report', async () => {
      const name = (await readdir(folder)).find((file) => /^report.*json$/.test(file))
      return name !== undefined && wholeJson(await readFile(join(folder, name), 'utf8'))
    })
    expect(JSON.parse(report).environmentVariables.LOG_LEVEL).toBe('trace')
    expect(tracesOf(secrets, report)).toEqual([])
    expect(tracesOf(secrets, gateway.output())).toEqual([])
  })

  test('by an embedded PostgreSQL: its processes, its log, its files', async () => {
    const folder = await temporaryFolder()
    const data = join(folder, 'data')
    const gateway = await startProcess({ ...SETTINGS, DATA_DIR: data, TMPDIR: folder })
    const answers = await askEverything(gateway, uniqueName('p'))
    const own = JSON.parse(await readFile(join(data, 'postgres/passwords.json'), 'utf8'))
    // Whole passwords, which may have a - or _ in them.
    const all = [...secrets, ...(Object.values(own) as string[])]
    expect(all).toHaveLength(secrets.length + 2)
    if (existsSync('/proc/self/environ')) {
      const { pids, text } = await visibleTo(gateway.pid)
      expect(pids.length).toBeGreaterThan(3)
      expect(text).toMatch(/server\.[jt]s/)
      expect(tracesOf(all, text)).toEqual([])
    }
    for (const { path, mode } of await filesWithTraces(all, folder)) {
      expect(`${path} ${(mode & 0o077).toString(8)}`).toBe(`${path} 0`)
    }
    gateway.kill('SIGTERM')
    await gateway.exit
    // What PostgreSQL itself writes is in it.
    expect(gateway.output()).toContain('no_such_type')
    expect(tracesOf(all, gateway.output() + answers.join('\n'))).toEqual([])
    const files = await filesWithTraces(all, folder)
    expect(files.map(({ path }) => path)).toEqual([join(data, 'postgres/passwords.json')])
  })
})
