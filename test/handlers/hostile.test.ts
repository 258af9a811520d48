import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestGateway, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'
import { openRaw, parseAnswer, sendRaw } from '../helpers/raw-http.ts'

const FUNCTIONS = {
  'functions/echo.pssql': `
    create or replace function echo(p_value jsonb) returns jsonb language sql
    as $$ select p_value $$;
    create or replace function total(variadic p_numbers integer[]) returns bigint language sql
    as $$ select sum(n) from unnest(p_numbers) n $$;
    create or replace function large(p_bytes integer) returns text language sql
    as $$ select repeat('x', p_bytes) $$;
    create or replace function sleep(p_seconds double precision) returns text language sql
    as $$ select 'slept' from pg_sleep(p_seconds) $$;`,
}

const HEAD = 'host: localhost\r\nconnection: close\r\n'

async function startWithPlatform(settings: Record<string, string> = {}) {
  const gateway = await startTestGateway(settings)
  const platform = uniqueName('p')
  const { status } = await gateway.register(platform, await pack(FUNCTIONS))
  expect(status).toBe(200)
  return { gateway, platform }
}

/** A request with a JSON body, in raw. */
function callOf(platform: string, name: string, params: unknown, head = HEAD): string {
  const body = JSON.stringify({ platform, function: name, params })
  return `POST /call HTTP/1.1\r\n${head}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
}

describe('what is no request', () => {
  let gateway: TestGateway
  beforeAll(async () => {
    gateway = await startTestGateway({ TRUSTED_PROXIES: '127.0.0.0/8' })
  })
  afterAll(() => gateway.stop())

  const manyHeaders = (count: number) => 'a:b\r\n'.repeat(count)

  test.each([
    ['no HTTP', 'hello\r\n\r\n', 400, 'is not HTTP/1.1: invalid method'],
    ['TLS', '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03', 400, 'is not HTTP/1.1'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'is not HTTP/1.1'],
    ['an unknown method', `BREW / HTTP/1.1\r\n${HEAD}\r\n`, 400, 'invalid method'],
    ['a control character in the path', `GET /\x01 HTTP/1.1\r\n${HEAD}\r\n`, 400, 'invalid url'],
    ['no Host', 'GET /health HTTP/1.1\r\nconnection: close\r\n\r\n', 400, 'Host is missing'],
    ['a NUL in a header', `GET / HTTP/1.1\r\n${HEAD}x: a\0b\r\n\r\n`, 400, 'invalid header token'],
    ['a long header', `GET / HTTP/1.1\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`, 431, '16384 bytes'],
    ['a long path', `GET /${'x'.repeat(20_000)} HTTP/1.1\r\n${HEAD}\r\n`, 431, '16384 bytes'],
    ['101 headers', `GET / HTTP/1.1\r\n${HEAD}${manyHeaders(99)}\r\n`, 431, '101 headers'],
    ['CONNECT', `CONNECT evil:80 HTTP/1.1\r\n${HEAD}\r\n`, 405, 'CONNECT'],
    ['an Expect', `POST /call HTTP/1.1\r\n${HEAD}expect: much\r\n\r\n`, 417, 'Expect'],
    [
      'a body of two lengths',
      `POST /call HTTP/1.1\r\n${HEAD}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
      'is not HTTP/1.1',
    ],
    [
      'a length that is no number',
      `POST /call HTTP/1.1\r\n${HEAD}content-length: -1\r\n\r\n`,
      400,
      'invalid content length',
    ],
  ])('%s is refused in JSON, and the connection closed', async (_, bytes, status, message) => {
    const answer = parseAnswer(await sendRaw(gateway.url, bytes))
    expect(answer.status).toBe(status)
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(answer.headers.get('connection')).toBe('close')
    expect(answer.headers.get('x-request-id')).toMatch(/^[\w-]{36}$/)
    expect(JSON.parse(answer.body).message).toContain(message)
    expect(JSON.parse(answer.body).error).toBe(
      status === 405 ? 'method_not_allowed' : 'invalid_request',
    )
    expect(gateway.logged.at(-1)).toMatchObject({ level: 'info', status })
  })

  // C7
  test.each([
    ['/call', 'application/json'],
    ['/register', 'multipart/form-data; boundary=b'],
  ])('a body whose chunks are wrong is refused in JSON: %s', async (path, type) => {
    const chunked = `${HEAD}content-type: ${type}\r\ntransfer-encoding: chunked\r\n\r\n`
    for (const chunks of ['zz\r\n', '2\r\n{"\r\nzz\r\n', '2\r\n{"xx']) {
      const text = await sendRaw(gateway.url, `POST ${path} HTTP/1.1\r\n${chunked}${chunks}`)
      const { status, headers, body } = parseAnswer(text)
      expect(status).toBe(400)
      expect(headers.get('connection')).toBe('close')
      expect(JSON.parse(body)).toMatchObject({
        error: 'invalid_request',
        message: expect.stringMatching(/^The request is not HTTP\/1\.1/),
      })
    }
    expect((await gateway.get('/health')).status).toBe(200)
  })

  // C7
  test.each(['gzip, chunked', 'gzip'])('Transfer-Encoding: %s is 501', async (coding) => {
    const head = `${HEAD}content-type: application/json\r\ntransfer-encoding: ${coding}\r\n\r\n`
    const { status, body } = parseAnswer(
      await sendRaw(gateway.url, `POST /call HTTP/1.1\r\n${head}0\r\n\r\n`),
    )
    expect([status, JSON.parse(body).error]).toEqual([501, 'invalid_request'])
  })

  // With a limit to their number, Node.js drops the headers that come last: the proxy's.
  test('headers enough to hide X-Forwarded-For do not hide it', async () => {
    const hidden = `${HEAD}${manyHeaders(2500)}x-forwarded-for: 203.0.113.9\r\n\r\n`
    const answer = await sendRaw(gateway.url, `GET /admin/databases HTTP/1.1\r\n${hidden}`)
    expect(parseAnswer(answer).status).toBe(431)
    expect(gateway.logged.at(-1)).toMatchObject({ status: 431, address: '203.0.113.9' })
  })

  test('what comes behind a request does not take the place of its answer', async () => {
    const text = await sendRaw(
      gateway.url,
      'GET /health HTTP/1.1\r\nhost: x\r\n\r\nrubbish\r\n\r\n',
    )
    const { status, body } = parseAnswer(text)
    expect(status).toBe(200)
    expect(body).toContain('"status":"healthy"')
    expect(body).not.toContain('HTTP/1.1')
  })

  test('nor does a body with wrong chunks behind it take its answer away', async () => {
    const wrong = 'POST /call HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n'
    const text = await sendRaw(gateway.url, `GET /health HTTP/1.1\r\nhost: x\r\n\r\n${wrong}`)
    const { status, body } = parseAnswer(text)
    expect(status).toBe(200)
    expect(body).toContain('"status":"healthy"')
  })
})

describe('forms', () => {
  let gateway: TestGateway
  beforeAll(async () => {
    gateway = await startTestGateway()
  })
  afterAll(() => gateway.stop())

  const field = (name: string, value: string) =>
    `--b\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
  const FILE =
    '--b\r\ncontent-disposition: form-data; name="schema"; filename="a.tar.gz"\r\n\r\ndata'

  const send = (body: string, type = 'multipart/form-data; boundary=b') =>
    gateway.post('/register', body, { 'content-type': type })

  test.each([
    ['end within the file', FILE, 'Unexpected end'],
    ['end within the head of a part', '--b\r\ncontent-disp', 'Unexpected end'],
    ['end before they begin', '', 'Unexpected end'],
    ['have no boundary', FILE, 'Boundary not found', 'multipart/form-data'],
    [
      'have 21 parts',
      `${Array.from({ length: 21 }, (_, i) => field(`a${i}`, '1')).join('')}--b--\r\n`,
      'more than 20 parts',
    ],
    [
      'have a long value',
      `${field('platform', 'x'.repeat(2000))}--b--\r\n`,
      'platform is longer than 1024 bytes',
    ],
    [
      'have a long name',
      `${field('x'.repeat(200), '1')}--b--\r\n`,
      'name is longer than 100 bytes',
    ],
    [
      'have a part without a name',
      '--b\r\ncontent-disposition: form-data\r\n\r\n1\r\n--b--\r\n',
      'no name',
    ],
    ['have no archive', `${field('platform', 'p')}--b--\r\n`, 'schema is missing'],
  ])('that %s are refused, and the gateway goes on', async (_, body, message, type?: string) => {
    const answer = await send(body, type)
    expect(answer.status).toBe(400)
    expect(answer.body.message).toContain(message)
    expect((await gateway.get('/health')).status).toBe(200)
  })
})

describe('JSON', () => {
  let gateway: TestGateway
  let platform: string
  beforeAll(async () => {
    ;({ gateway, platform } = await startWithPlatform())
  })
  afterAll(() => gateway.stop())

  const nested = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`

  test('of 900 levels goes to a function and comes back', async () => {
    const { status, body } = await gateway.call(platform, 'echo', [JSON.parse(nested(900))])
    expect(status).toBe(200)
    expect(JSON.stringify(body.rows[0].echo)).toBe(nested(900))
  })

  test('of more levels is refused, whichever way it comes', async () => {
    const inBody = await gateway.post('/call', `{"a":${nested(5000)}}`)
    expect(inBody.status).toBe(400)
    expect(inBody.body.message).toBe('The body is nested more than 1000 levels deep')
    const inUrl = await gateway.get(`/call/${platform}/echo?p_value=${nested(2000)}`)
    expect(inUrl.status).toBe(405)
    const asText = await gateway.call(platform, 'echo', [nested(100_000)])
    expect(asText.status).toBe(200)
  })

  test('with more parameters than a call may have is refused', async () => {
    const taken = await gateway.call(platform, 'total', Array(10_000).fill(1))
    expect(taken.body.rows).toEqual([{ total: 10_000 }])
    const refused = await gateway.call(platform, 'total', Array(10_001).fill(1))
    expect([refused.status, refused.body.error]).toEqual([400, 'invalid_request'])
    expect(refused.body.message).toBe('params has 10001 parameters, more than 10000')
  })
})

describe('clients that take their time', () => {
  let gateway: TestGateway
  let platform: string
  beforeAll(async () => {
    ;({ gateway, platform } = await startWithPlatform({
      REQUEST_TIMEOUT_SECS: '1',
      SEND_TIMEOUT_SECS: '2',
    }))
  })
  afterAll(() => gateway.stop())

  /** Sends the start of a request at once and then a byte now and then, until it is cut. */
  async function drip(start: string, rest: string): Promise<string> {
    const { socket, closed } = await openRaw(gateway.url)
    socket.write(start)
    let sent = 0
    const timer = setInterval(() => {
      if (sent < rest.length && socket.writable) socket.write(rest[sent++]!)
    }, 100)
    const text = await closed
    clearInterval(timer)
    expect(sent).toBeLessThan(rest.length)
    return text
  }

  const POST = `HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5000\r\n`
  const JSON_TYPE = 'content-type: application/json\r\n\r\n'
  const FORM_TYPE = 'content-type: multipart/form-data; boundary=b\r\n\r\n'

  test.each([
    ['send nothing', '', ''],
    ['send a byte of the head now and then', 'GET /hea', 'l'.repeat(5000)],
    ['send a byte of the JSON now and then', `POST /call ${POST}${JSON_TYPE}`, '['.repeat(4999)],
    [
      'send a byte of the form now and then',
      `POST /register ${POST}${FORM_TYPE}`,
      'x'.repeat(4999),
    ],
    ['send a form but for its end', `POST /register ${POST}${FORM_TYPE}--b\r\n`, ''],
  ])('are cut where they %s', async (_, start, rest) => {
    const text = rest === '' ? await waitForCut(start) : await drip(start, rest)
    const { status, headers, body } = parseAnswer(text)
    expect(status).toBe(408)
    expect(headers.get('connection')).toBe('close')
    expect(headers.get('x-request-id')).toBeDefined()
    expect(JSON.parse(body)).toEqual({
      error: 'invalid_request',
      message: 'The request took longer than 1 s to arrive (REQUEST_TIMEOUT_SECS)',
    })
  })

  async function waitForCut(start: string): Promise<string> {
    const { socket, closed } = await openRaw(gateway.url)
    if (start !== '') socket.write(start)
    return closed
  }

  test('hold no connection to PostgreSQL and no place in a queue while they send', async () => {
    const { socket, closed } = await openRaw(gateway.url)
    const before = gateway.logged.length
    socket.write(`POST /register ${POST}${FORM_TYPE}--b\r\n`)
    await eventually(
      'an answer beside it',
      async () => (await gateway.get('/health')).status === 200,
    )
    expect(
      gateway.gateway.pools.report().pools.every(({ busy, waiting }) => busy + waiting === 0),
    ).toBe(true)
    await closed
    const line = await eventually('its line of log', () =>
      gateway.logged.slice(before).find(({ path }) => path === '/register'),
    )
    expect(line).toMatchObject({ status: 408 })
  })

  test('are cut where they do not read their answer', async () => {
    const { socket } = await openRaw(gateway.url)
    const closed = once(socket, 'close')
    socket.pause()
    socket.write(callOf(platform, 'large', [30_000_000], 'host: localhost\r\n'))
    await eventually('its line of log', () =>
      gateway.logged.some(({ message }) =>
        message?.startsWith('Connection closed: the client read nothing of its answer'),
      ),
    )
    // The request has come to its end, and holds none of its rows.
    await eventually('its end', () => gateway.logged.some(({ path }) => path === '/call'))
    socket.resume()
    await closed
  })

  test('are not cut where the function is what takes its time', async () => {
    const { status, body } = await gateway.call(platform, 'sleep', [3])
    expect([status, body.rows]).toEqual([200, [{ sleep: 'slept' }]])
  })
})

describe('more clients than there may be', () => {
  let gateway: TestGateway
  beforeAll(async () => {
    gateway = await startTestGateway({ MAX_HTTP_CONNECTIONS: '2' })
  })
  afterAll(() => gateway.stop())

  test('are told so, and served when others have gone', async () => {
    const ask = () => sendRaw(gateway.url, `GET /health HTTP/1.1\r\n${HEAD}\r\n`)
    const others = [await openRaw(gateway.url), await openRaw(gateway.url)]
    const { status, headers, body } = parseAnswer(await ask())
    expect(status).toBe(503)
    expect(headers.get('retry-after')).toBe('1')
    expect(JSON.parse(body)).toEqual({
      error: 'pool_exhausted',
      message: '2 HTTP connections are open (MAX_HTTP_CONNECTIONS)',
    })
    for (const { socket } of others) socket.destroy()
    await eventually('an answer', async () => parseAnswer(await ask()).status === 200)
  })
})
