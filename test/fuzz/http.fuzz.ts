import { connect } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PROJECT, startTestGateway, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'
import { heapBytes, REQUESTS, SEED } from './fuzz.ts'
import { type RawRequest, rawRequests } from './requests.ts'

const FUNCTIONS = {
  'types/address.pssql': 'create type address as (street text, number integer);',
  'functions/all.pssql': `
    create or replace function add(p_a integer, p_b integer) returns integer language sql immutable
    as $$ select p_a + p_b $$;
    create or replace function add(p_a text, p_b text) returns text language sql immutable
    as $$ select p_a || p_b $$;
    create or replace function echo(p_value jsonb) returns jsonb language sql volatile
    as $$ select p_value $$;
    create or replace function total(variadic p_numbers numeric[]) returns numeric language sql
    stable as $$ select sum(n) from unnest(p_numbers) n $$;
    create or replace function texts(p_texts text[]) returns setof text language sql stable
    as $$ select unnest(p_texts) $$;
    create or replace function where_is(p_address address) returns text language sql stable
    as $$ select (p_address).street $$;
    create or replace function since(p_time timestamptz) returns interval language sql stable
    as $$ select '2026-06-01T00:00:00Z' - p_time $$;
    create or replace function nothing() returns void language sql as $$ select $$;`,
}

/** Sent together. */
const AT_ONCE = 25
/** After so long a silence the client says that nothing more comes, and what is incomplete ends. */
const SILENCE_MS = 100
const PATIENCE_MS = 20_000

/** What no answer and no line of the log may tell. */
const TELLTALE = /node_modules|node:internal|\.ts:\d+|\n\s+at |\/tmp\/|\/home\/|\/root\//

let gateway: TestGateway
let requests: fc.Arbitrary<RawRequest>
beforeAll(async () => {
  gateway = await startTestGateway({
    MAX_BODY_BYTES: '20000',
    MAX_ARCHIVE_BYTES: '20000',
    MAX_UNPACKED_BYTES: '100000',
    TRUSTED_PROXIES: '127.0.0.0/8,10.9.0.0/16',
    ALLOWED_NETWORKS: '10.0.1.0/24',
  })
  const platform = uniqueName('fuzz')
  const archive = await pack(FUNCTIONS)
  expect((await gateway.register(platform, archive)).status).toBe(200)
  requests = rawRequests(platform, Buffer.from(archive))
})
afterAll(() => gateway.stop())

/** All that comes back; fails where nothing does and the connection stays open. */
function send(bytes: RawRequest): Promise<string> {
  const { port } = new URL(gateway.url)
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: Number(port), allowHalfOpen: true })
    let text = ''
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new Error('Neither an answer nor an end'))
    }, PATIENCE_MS)
    const silence = setTimeout(() => socket.end(), SILENCE_MS)
    socket.setEncoding('latin1').on('data', (chunk) => {
      text += chunk
      silence.refresh()
    })
    socket.on('error', () => {})
    socket.once('end', () => socket.end())
    socket.once('close', () => {
      clearTimeout(timer)
      clearTimeout(silence)
      resolve(text.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, ''))
    })
    socket.write(bytes)
  })
}

/** What an answer may not be; undefined where it is as it should be. */
function faultOf(text: string): string | undefined {
  if (text === '') return undefined
  const [, status, head = '', body = ''] =
    /^HTTP\/1\.1 (\d{3}) [^\r]*\r\n([\s\S]*?)\r\n\r\n([\s\S]*)$/.exec(text) ?? []
  if (status === undefined) return 'It is no answer'
  const { password } = gateway.server
  if (password !== '' && text.includes(password)) return 'It tells the password'
  if (text.includes(PROJECT) || TELLTALE.test(text)) return 'It tells a path or a stack'
  if (Number(status) === 504 && body.includes('"query_timeout"')) return undefined
  if (Number(status) >= 500) return `It is ${status}`
  if (Number(status) < 400 || body === '') return undefined
  // Of a HEAD request, what follows is the next answer.
  if (body.startsWith('HTTP/1.1 ')) return undefined
  const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1])
  const { error, message } = JSON.parse(Buffer.from(body.slice(0, length), 'latin1').toString())
  return typeof error === 'string' && message !== '' ? undefined : 'It is no error'
}

test(`whatever is sent is answered or refused (seed ${SEED})`, async () => {
  const tally = new Map<string, number>()
  let slowestMs = 0
  const property = fc.asyncProperty(
    fc.array(requests, { minLength: AT_ONCE, maxLength: AT_ONCE }),
    async (batch) => {
      const from = performance.now()
      const answers = await Promise.all(batch.map(send))
      slowestMs = Math.max(slowestMs, performance.now() - from)
      for (const [i, text] of answers.entries()) {
        const fault = faultOf(text)
        if (fault) throw new Error(`${fault}: ${batch[i]!.toString('latin1')}\n=> ${text}`)
        const status = text === '' ? 'closed' : text.slice(9, 12)
        tally.set(status, (tally.get(status) ?? 0) + 1)
      }
      const failed = gateway.logged.find(({ level }) => level === 'error')
      if (failed) throw new Error(JSON.stringify(failed))
      gateway.logged.length = 0
    },
  )

  const memory: { heap: number; rss: number }[] = []
  const started = performance.now()
  for (const third of [0, 1, 2]) {
    await fc.assert(property, {
      seed: SEED + third,
      numRuns: Math.ceil(REQUESTS / 3 / AT_ONCE),
      // Each attempt to make it shorter takes all of them again.
      endOnFailure: true,
    })
    const heap = heapBytes()
    memory.push({ heap, rss: process.memoryUsage().rss })
  }
  expect((await gateway.get('/health', { 'x-forwarded-for': '10.0.1.5' })).status).toBe(200)
  if (process.env.FUZZ_REPORT) {
    const seconds = (performance.now() - started) / 1000
    const statuses = [...tally].sort().map(([status, count]) => `${status}: ${count}`)
    console.log(
      `HTTP: ${statuses.join(', ')}; ${seconds.toFixed(0)} s, slowest ${AT_ONCE} at once ` +
        `${slowestMs.toFixed(0)} ms; MiB after each third: ` +
        memory.map(({ heap, rss }) => `heap ${heap >> 20}, RSS ${rss >> 20}`).join('; '),
    )
  }
  const growth = memory[2]!.heap - memory[0]!.heap
  expect(growth).toBeLessThan(16 * 1024 * 1024)
})
