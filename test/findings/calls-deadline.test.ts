import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type BehindProxy, startBehindProxy } from '../helpers/behind-proxy.ts'
import { type Json, queryDatabase, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'
import { parseAnswer } from '../helpers/raw-http.ts'

// Nothing of a call is sent after its deadline, whatever it has waited for.

const FILES: Files = {
  'migrations/001_note.pssql': 'create table note (body text);',
  'functions/notes.pssql': `
    create function note(p_body text) returns text language plpgsql as $$
      begin insert into note values (p_body); return p_body; end $$;
    create function pause(p_seconds float8) returns int language plpgsql as $$
      begin perform pg_sleep(p_seconds); return 1; end $$;
    create function outlasts_cancels(p_body text, p_seconds float8) returns text language plpgsql as $$
      declare
        ends_at timestamptz := clock_timestamp() + p_seconds * interval '1 second';
      begin
        insert into note values (p_body);
        while clock_timestamp() < ends_at loop
          begin
            perform pg_sleep(0.5);
          exception when query_canceled then null;
          end;
        end loop;
        return p_body;
      end $$;
    create function takes_long(p_text text) returns bool language plpgsql as $$
      begin perform pg_sleep(5); return true; end $$;
    create domain slow_text as text check (takes_long(value));
    create type slow_pair as (a slow_text, b int);
    create procedure note_pair(p_pair slow_pair) language plpgsql as $$
      begin insert into note values ('pair'); end $$;`,
}

const platform = uniqueName('deadline')
const database = `${platform}_main`
let behind: BehindProxy
let gateway: TestGateway
let warmAt = 0

beforeAll(async () => {
  behind = await startBehindProxy()
  gateway = behind.gateway
  expect(await gateway.register(platform, await pack(FILES))).toMatchObject({ status: 200 })
  expect(await gateway.register(platform, await pack(FILES), 'idle')).toMatchObject({ status: 200 })
  expect(await gateway.call(platform, 'note', ['warm'], 'idle')).toMatchObject({ status: 200 })
  expect(await gateway.call(platform, 'note', ['warm'])).toMatchObject({ status: 200 })
  for (const [name, ...params] of [
    ['pause', 0],
    ['outlasts_cancels', 'warm', 0],
  ]) {
    await gateway.call(platform, String(name), params)
  }
  warmAt = performance.now()
})
afterAll(() => behind.stop())

const notes = async (where = database) =>
  (await queryDatabase(where, 'select body from note order by body')).map(({ body }: Json) => body)

const NOT_RUN = {
  error: 'query_timeout',
  may_have_run: false,
  message: expect.not.stringContaining('cancelled'),
}

/** The answer to a request whose body comes so much later than its head. */
function withLateBody(path: string, body: object, lateMs: number, accept = '*/*'): Promise<Json> {
  const { hostname, port } = new URL(gateway.url)
  const text = JSON.stringify({ platform, timeout_ms: 100, ...body })
  const head =
    `POST ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\naccept: ${accept}\r\n` +
    `content-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n`
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port) })
    let all = ''
    socket.on('data', (bytes) => {
      all += bytes
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      const { status, body } = parseAnswer(all)
      resolve({ status, body: JSON.parse(body) })
    })
    socket.write(head)
    setTimeout(() => socket.write(text), lateMs)
  })
}

describe.concurrent('Behind its deadline', () => {
  test.each([150, 1500])('a body that comes %i ms after its head: nothing runs', async (lateMs) => {
    const call = { function: 'note', params: ['late'] }
    const answers = await Promise.all([
      withLateBody('/call', call, lateMs),
      withLateBody('/call', call, lateMs, 'application/x-ndjson'),
      withLateBody('/batch', { calls: [call] }, lateMs),
      withLateBody('/batch', { calls: [call], transaction: true }, lateMs),
    ])
    for (const answer of answers) expect(answer).toMatchObject({ status: 504, body: NOT_RUN })
    expect(await notes()).not.toContain('late')
  })

  test('a call of a batch that comes behind the deadline does not run', async () => {
    const run = (...calls: Json[]) => gateway.post('/batch', { platform, timeout_ms: 900, calls })
    const pause = { function: 'pause', params: [0.6] }
    const { status, body } = await run(pause, pause, { function: 'note', params: ['behind'] })
    expect(status).toBe(200)
    expect(body.results).toMatchObject([
      { row_count: 1 },
      { status: 504, error: 'query_timeout' },
      { status: 504, ...NOT_RUN },
    ])
    const { body: swallowed } = await run(
      { function: 'outlasts_cancels', params: ['swallows', 1.4] },
      { function: 'note', params: ['behind'] },
    )
    expect(swallowed.results[1]).toMatchObject({ status: 504, ...NOT_RUN })
    expect(await notes()).not.toContain('behind')
  })

  test.each([
    ['uncommitted', 1.2],
    ['uncommitted, and cut', 4],
  ])('a transaction is not committed behind the deadline: %s', async (body, seconds) => {
    const answer = await gateway.post('/batch', {
      platform,
      timeout_ms: 600,
      transaction: true,
      calls: [{ function: 'outlasts_cancels', params: [body, seconds] }],
    })
    expect(answer).toMatchObject({
      status: 504,
      body: { may_have_run: false, message: expect.stringContaining('rolled back') },
    })
    expect(await notes()).not.toContain('uncommitted')
  })

  test('a stream ends at the deadline, and nothing of it is committed', async () => {
    const body = {
      platform,
      function: 'outlasts_cancels',
      params: ['streamed', 1.2],
      timeout_ms: 600,
    }
    const answer = await gateway.post('/call', body, { accept: 'text/csv' })
    expect(answer).toMatchObject({ status: 504, body: { may_have_run: false } })
    expect(await notes()).not.toContain('streamed')
  })

  test.each([undefined, { 'app.user': 'anna' }])(
    'a procedure whose parameters take longer than its time is not called: session %j',
    async (session) => {
      const params = [{ a: 'x', b: 1 }]
      const call = { platform, function: 'note_pair', params, timeout_ms: 700 }
      const answer = await gateway.post('/call', { ...call, session })
      expect(answer).toMatchObject({ status: 504, body: NOT_RUN })
      expect(await notes()).not.toContain('pair')
    },
  )
})

test('a connection that is asked first answers behind the deadline: the call is not sent', async () => {
  const where = `${platform}_idle`
  await sleep(Math.max(0, warmAt + 5200 - performance.now()))
  behind.proxy.delay(800)
  const startedAt = performance.now()
  const answer = await gateway.post('/call', {
    platform,
    tenant_id: 'idle',
    function: 'note',
    params: ['asked'],
    timeout_ms: 100,
  })
  const tookMs = performance.now() - startedAt
  behind.proxy.heal()
  expect(answer).toMatchObject({ status: 504, body: NOT_RUN })
  expect(tookMs).toBeLessThan(1100)
  await eventually('the connection is given back', () => {
    const pool = gateway.gateway.pools.report().pools.find(({ database }) => database === where)
    return pool?.idle === 1
  })
  expect(await notes(where)).toEqual(['warm'])
})
