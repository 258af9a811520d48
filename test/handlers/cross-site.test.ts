import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { schemaForm, startTestGateway, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { parseAnswer, sendRaw } from '../helpers/raw-http.ts'

let gateway: TestGateway
let platform: string
beforeAll(async () => {
  gateway = await startTestGateway({ ALLOWED_ORIGINS: 'https://console.example' })
  platform = uniqueName('site')
  await gateway.register(platform, await pack(textFunction('ping', 'pong')))
})
afterAll(() => gateway.stop())

/** Sends a request with these headers and no others. */
async function send(line: string, headers: Record<string, string>, body = '') {
  const head = Object.entries({ host: 'localhost', ...headers }).map((pair) => pair.join(': '))
  const length = body === '' ? [] : [`content-length: ${Buffer.byteLength(body)}`]
  const lines = [`${line} HTTP/1.1`, ...head, ...length, 'connection: close', '', body]
  const answer = parseAnswer(await sendRaw(gateway.url, lines.join('\r\n')))
  return { ...answer, json: answer.body === '' ? undefined : JSON.parse(answer.body) }
}

const JSON_TYPE = { 'content-type': 'application/json' }
const callPing = (headers: Record<string, string>) =>
  send('POST /call', headers, JSON.stringify({ platform, function: 'ping' }))

const FOREIGN: [what: string, headers: Record<string, string>][] = [
  ['another site', { 'sec-fetch-site': 'cross-site' }],
  ['another origin of the site', { 'sec-fetch-site': 'same-site' }],
  ['an Origin of another site', { origin: 'https://evil.example' }],
  ['the Origin null', { origin: 'null' }],
  ['a name that points here', { host: 'evil.example', origin: 'http://evil.example' }],
]

test('a request has one host, which is the same wherever it stands', async () => {
  const two =
    'GET /health HTTP/1.1\r\nhost: localhost\r\nHost: evil.example\r\nconnection: close\r\n\r\n'
  expect(parseAnswer(await sendRaw(gateway.url, two)).status).toBe(400)
  expect((await send('GET http://evil.example/health', {})).status).toBe(400)
  expect((await send('GET http://LOCALHOST/health', {})).status).toBe(200)
})

describe('C1: what a browser sends from elsewhere is refused', () => {
  test.each(FOREIGN)('%s: a call, a form, a look, what does not exist', async (_, headers) => {
    const form = `--b\r\ncontent-disposition: form-data; name="platform"\r\n\r\n${platform}\r\n--b--\r\n`
    const answers = [
      await callPing({ ...JSON_TYPE, ...headers }),
      await send(
        'POST /register',
        { ...headers, 'content-type': 'multipart/form-data; boundary=b' },
        form,
      ),
      await send(`GET /call/${platform}/ping`, headers),
      await send(`GET /admin/databases?platform=${platform}`, headers),
      await send('GET /nowhere', headers),
      await send('OPTIONS /call', headers),
    ]
    for (const { status, json } of answers) {
      expect([status, json?.error]).toEqual([403, 'cross_site_refused'])
    }
    expect(gateway.logged.at(-1)).toMatchObject({ status: 403, error: 'cross_site_refused' })
  })

  test.each(FOREIGN)('%s: /health, /live and /ready tell the status alone', async (_, headers) => {
    for (const [path, status] of [
      ['/health', 'healthy'],
      ['/live', 'live'],
      ['/ready', 'ready'],
    ]) {
      const answer = await send(`GET ${path}`, headers)
      expect([answer.status, answer.json]).toEqual([200, { status }])
    }
  })

  test('the answer says what to set', async () => {
    const { json } = await callPing({ ...JSON_TYPE, host: 'gateway.internal:9000' })
    expect(json.message).toContain('ALLOWED_HOSTS')
  })

  test.each([
    ['no browser', {}],
    ['the gateway’s own pages', { origin: 'http://localhost', 'sec-fetch-site': 'same-origin' }],
    ['a person', { 'sec-fetch-site': 'none' }],
    [
      'an origin of ALLOWED_ORIGINS',
      { origin: 'https://console.example', 'sec-fetch-site': 'cross-site' },
    ],
  ])('%s may', async (_, headers) => {
    expect((await callPing({ ...JSON_TYPE, ...headers })).json.rows).toEqual([{ ping: 'pong' }])
  })
})

test.each([
  ['none', {}],
  ['that of a form', { 'content-type': 'application/x-www-form-urlencoded' }],
  ['that of a text', { 'content-type': 'text/plain;charset=UTF-8' }],
])('C1: JSON needs its content type; %s is 415', async (_, headers) => {
  const { status, json } = await callPing(headers)
  expect([status, json.error]).toEqual([415, 'unsupported_media_type'])
})

test('ALLOWED_HOSTS hold for every client, addresses and localhost beside them', async () => {
  const strict = await startTestGateway({
    ALLOWED_HOSTS: 'gateway.internal',
    TRUSTED_PROXIES: '127.0.0.1',
  })
  try {
    const statusFor = async (host: string, address: string) => {
      const head = `host: ${host}\r\nx-forwarded-for: ${address}\r\nconnection: close\r\n`
      return parseAnswer(await sendRaw(strict.url, `GET /nowhere HTTP/1.1\r\n${head}\r\n`)).status
    }
    for (const address of ['127.0.0.1', '10.0.1.5']) {
      expect(await statusFor('gateway.internal:9000', address)).toBe(404)
      expect(await statusFor('10.0.1.1:9000', address)).toBe(404)
      expect(await statusFor('localhost', address)).toBe(404)
      expect(await statusFor('other', address)).toBe(403)
    }
  } finally {
    await strict.stop()
  }
})

test('the audit trail has those that would have reached what is for administrators', async () => {
  await send('GET /admin/pools', { origin: 'https://evil.example' })
  await gateway.gateway.audit.end(2000)
  const rows = await gateway.query(
    gateway.server.database,
    `select path from _db_gateway_audit where error = 'cross_site_refused'`,
  )
  expect(rows.map(({ path }) => path)).toContain('/admin/pools')
})

test('a form of the same page is taken', async () => {
  const form = schemaForm(platform, await pack(textFunction('ping', 'pong')))
  const headers = { origin: gateway.url, 'sec-fetch-site': 'same-origin' }
  const { status } = await fetch(`${gateway.url}/register`, { method: 'POST', body: form, headers })
  expect(status).toBe(200)
})
