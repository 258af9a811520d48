import { beforeAll, expect, test } from 'vitest'
import { startTwoGateways } from '../helpers/for-file.ts'
import {
  type Json,
  queryDatabase,
  sessionsRunning,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { until } from '../helpers/process.ts'

const platform = 'keyed'
const database = `${platform}_main`
const { url, gateway: one, other } = await startTwoGateways()

beforeAll(async () => {
  await one.register(platform, await pack(textFunction('ping', 'pong')))
  await define(`
    create table note (id int generated always as identity, text text not null, price numeric);
    create table kind (id int primary key);
    create table line (kind int references kind (id) deferrable initially deferred);
    create function add_note(p_text text) returns table (id int, text text, price numeric)
      language sql as $$ insert into note (text, price) values (p_text, 1.50) returning * $$;
    create function add_slowly(p_text text, p_secs float8) returns text language plpgsql as $$ begin
      insert into note (text) values (p_text); perform pg_sleep(p_secs); return p_text; end $$;
    create function add_or_fail(p_text text) returns text language plpgsql as $$ begin
      insert into note (text) values (p_text);
      if not exists (select from kind) then raise exception 'no kind'; end if;
      return p_text; end $$;
    create function add_line(p_kind int) returns int language sql
      as $$ insert into line values (p_kind) returning kind $$;
    create function add_wide(p_text text, p_bytes int) returns text language sql
      as $$ insert into note (text) values (p_text); select repeat('x', p_bytes) $$;
    create function add_as(p_text text, p_role text) returns text language plpgsql as $$ begin
      insert into note (text) values (p_text);
      perform set_config('role', p_role, true); return current_user; end $$;
    create function add_and_discard(p_text text) returns text language plpgsql as $$ begin
      insert into note (text) values (p_text); deallocate all; return p_text; end $$;
    create function count_notes() returns bigint language sql stable as $$ select count(*) from note $$;
    create procedure add_in_procedure(p_text text, inout p_count int default 0) language plpgsql
      as $$ begin insert into note (text) values (p_text); p_count := 7; end $$;
    create procedure add_and_commit(p_text text) language plpgsql
      as $$ begin insert into note (text) values (p_text); commit; end $$;
  `)
})

/** Runs SQL in the platform's database, as its role. */
const define = (sql: string) => queryDatabase(database, sql)

/** Runs SQL in the platform's database, as the gateway's role. */
const administer = (sql: string) => queryDatabase(database, sql, { asGateway: true })

async function notes(text: string): Promise<number> {
  const [row] = await define(`select count(*)::int as n from note where text = '${text}'`)
  return row.n
}

interface Sent {
  status: number
  text: string
  isReplay: boolean
  body: Json
}

async function send(
  gateway: TestGateway,
  path: string,
  key: string,
  body: object,
  headers: Record<string, string> = {},
): Promise<Sent> {
  const response = await fetch(gateway.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key, ...headers },
    body: JSON.stringify({ platform, ...body }),
  })
  const text = await response.text()
  const isReplay = response.headers.get('idempotent-replayed') === 'true'
  return { status: response.status, text, isReplay, body: JSON.parse(text) }
}

const call = (gateway: TestGateway, key: string, name: string, ...params: unknown[]) =>
  send(gateway, '/call', key, { function: name, params })

test('the same key gives the same bytes through any gateway, and runs the function once', async () => {
  const key = uniqueName('key')
  const first = await call(one, key, 'add_note', key)
  expect(first).toMatchObject({ status: 200, isReplay: false })
  expect(first.body).toMatchObject({ rows: [{ text: key, price: 1.5 }], row_count: 1 })
  expect(first.text).toContain('"price":1.50')
  for (const gateway of [one, other, one]) {
    const again = await call(gateway, key, 'add_note', key)
    expect(again).toMatchObject({ status: 200, isReplay: true, text: first.text })
  }
  // As the string of a structured field, it is the same key.
  expect(await call(other, `"${key}"`, 'add_note', key)).toMatchObject({ text: first.text })
  expect(await notes(key)).toBe(1)
  const next = await call(one, uniqueName('key'), 'add_note', key)
  expect(next).toMatchObject({ status: 200, isReplay: false })
  expect(await notes(key)).toBe(2)
})

test('the same key with another body, or at another endpoint, is 422', async () => {
  const key = uniqueName('key')
  await call(one, key, 'add_note', key)
  const refused = { status: 422, body: { error: 'idempotency_key_reused', database } }
  expect(await call(other, key, 'add_note', `${key} too`)).toMatchObject(refused)
  expect(await call(one, key, 'no_such_function')).toMatchObject(refused)
  const batch = { calls: [{ function: 'add_note', params: [key] }] }
  expect(await send(one, '/batch', key, batch)).toMatchObject(refused)
  expect(await notes(key)).toBe(1)
  expect(await notes(`${key} too`)).toBe(0)
})

test.each([
  ['an empty one', ''],
  ['one of 256 characters', 'k'.repeat(256)],
  ['two', 'one, two'],
  ['one with a space', 'one two'],
  ['an open quote', '"one'],
  ['parameters', '"one";a=1'],
])('%s is no key', async (_, key) => {
  const answer = await call(one, key, 'ping')
  expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
  expect(answer.body.message).toContain('Idempotency-Key must be one text of 1 to 255')
})

test('an error keeps nothing: the same key runs the call again', async () => {
  const key = uniqueName('key')
  const failed = await call(one, key, 'add_or_fail', key)
  expect(failed).toMatchObject({ status: 400, body: { error: 'query_failed', cause: 'no kind' } })
  expect(failed.body).not.toHaveProperty('call')
  // The commit itself fails.
  expect(await call(one, `${key}-line`, 'add_line', 1)).toMatchObject({ status: 409 })
  expect(await call(one, `${key}-none`, 'no_such')).toMatchObject({ status: 404 })
  expect(await notes(key)).toBe(0)
  await define('insert into kind values (1)')
  const second = await call(other, key, 'add_or_fail', key)
  expect(second).toMatchObject({ status: 200, isReplay: false })
  expect(await call(one, `${key}-line`, 'add_line', 1)).toMatchObject({ status: 200 })
  expect(await call(one, `${key}-none`, 'ping')).toMatchObject({ status: 200, isReplay: false })
  expect(await call(one, key, 'add_or_fail', key)).toMatchObject({ isReplay: true })
  expect(await notes(key)).toBe(1)
})

test('a request whose key is in use waits for the answer, on its own gateway and on the other', async () => {
  const key = uniqueName('key')
  const running = [one, other, one, other].map((gateway) =>
    call(gateway, key, 'add_slowly', key, 0.5),
  )
  const answers = await Promise.all(running)
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
  expect(answers.filter(({ isReplay }) => !isReplay)).toHaveLength(1)
  expect(await notes(key)).toBe(1)
})

test('it waits no longer than its own limit, and says that the call may have run', async () => {
  const key = uniqueName('key')
  const body = { function: 'add_slowly', params: [key, 2] }
  const running = send(one, '/call', key, body)
  await until(async () => (await sessionsRunning(database, 'add_slowly')) > 0)
  const limited = { ...body, timeout_ms: 200 }
  for (const gateway of [one, other]) {
    const answer = await send(gateway, '/call', key, limited)
    expect(answer).toMatchObject({
      status: 504,
      body: { error: 'query_timeout', may_have_run: true },
    })
    expect(answer.body.message).toContain('Another request with this Idempotency-Key')
  }
  expect(await running).toMatchObject({ status: 200 })
  expect(await send(other, '/call', key, body)).toMatchObject({ isReplay: true })
  expect(await notes(key)).toBe(1)
})

test('MAX_QUEUE_PER_DATABASE requests wait for one key; one more is refused', async () => {
  const small = await startTestGateway({ DATABASE_URL: url, MAX_QUEUE_PER_DATABASE: '2' })
  try {
    // Only so many wait for the look-up of its database, too.
    await small.call(platform, 'ping')
    const key = uniqueName('key')
    const sent = Array.from({ length: 4 }, () => call(small, key, 'add_slowly', key, 1))
    const answers = await Promise.all(sent)
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 503])
    expect(answers.find(({ status }) => status === 503)?.body).toMatchObject({
      error: 'pool_exhausted',
      message: expect.stringContaining('2 requests'),
      may_have_run: true,
    })
    expect(await notes(key)).toBe(1)
  } finally {
    await small.stop()
  }
})

test('a call that ran out of its time has left nothing, and runs again', async () => {
  const key = uniqueName('key')
  const body = { function: 'add_slowly', params: [key, 1], timeout_ms: 200 }
  for (let i = 0; i < 2; i++) {
    expect(await send(one, '/call', key, body)).toMatchObject({ status: 504 })
  }
  expect(await notes(key)).toBe(0)
})

test('a procedure runs inside the transaction, and cannot commit', async () => {
  const key = uniqueName('key')
  const first = await call(one, key, 'add_in_procedure', key)
  expect(first).toMatchObject({ status: 200, body: { rows: [{ p_count: 7 }] } })
  expect(await call(other, key, 'add_in_procedure', key)).toMatchObject({ text: first.text })
  expect(await notes(key)).toBe(1)
  const commits = await call(one, `${key}-2`, 'add_and_commit', `${key}-2`)
  expect(commits.body).toMatchObject({ error: 'query_failed', sqlstate: '2D000' })
  expect(commits.body.hint).toContain('cannot COMMIT or ROLLBACK')
  expect(await notes(`${key}-2`)).toBe(0)
})

test('a stream is 400, and an answer over 1 MiB is 413 with nothing left of it', async () => {
  const key = uniqueName('key')
  const body = { function: 'add_note', params: [key] }
  const stream = await send(one, '/call', key, body, { accept: 'application/x-ndjson' })
  expect(stream).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
  const wide = await call(one, key, 'add_wide', key, 1024 * 1024)
  expect(wide).toMatchObject({
    status: 413,
    body: { error: 'result_too_large', may_have_run: false },
  })
  expect(await notes(key)).toBe(0)
  const fits = await call(one, key, 'add_wide', key, 1024 * 1024 - 100)
  expect(fits.status).toBe(200)
  expect((await call(other, key, 'add_wide', key, 1024 * 1024 - 100)).text).toBe(fits.text)
  expect(await notes(key)).toBe(1)
})

test('what a function does to its session is not in the way', async () => {
  const key = uniqueName('key')
  await administer('create role keyed_reader; grant keyed_reader to gw_keyed')
  const asReader = await call(one, key, 'add_as', key, 'keyed_reader')
  expect(asReader.body.rows).toEqual([{ add_as: 'keyed_reader' }])
  expect(await call(one, key, 'add_as', key, 'keyed_reader')).toMatchObject({ text: asReader.text })
  await administer('drop role keyed_reader')
  for (let i = 0; i < 2; i++) {
    const discarded = await call(one, `${key}-2`, 'add_and_discard', `${key}-2`)
    expect(discarded).toMatchObject({ status: 200, isReplay: i > 0 })
  }
})

test('the answer is given also where the function is gone', async () => {
  const key = uniqueName('key')
  await define(`create function goes(p_a int) returns int language sql as $$ select p_a $$`)
  const first = await call(one, key, 'goes', 1)
  await define('drop function goes(int)')
  expect(await call(other, key, 'goes', 1)).toMatchObject({ isReplay: true, text: first.text })
  expect(await call(one, key, 'goes', 1)).toMatchObject({ isReplay: true, text: first.text })
  expect(await call(one, `${key}-2`, 'goes', 1)).toMatchObject({ status: 404 })
})

test('numbers come as they were asked for', async () => {
  const key = uniqueName('key')
  const body = { function: 'add_note', params: [key], numeric: 'string' }
  const first = await send(one, '/call', key, body)
  expect(first.body.rows[0].price).toBe('1.50')
  expect((await send(other, '/call', key, body)).text).toBe(first.text)
})

test('a batch keeps the answer of each call that succeeds, by its index', async () => {
  const key = uniqueName('key')
  const body = {
    calls: [
      { function: 'add_note', params: [key] },
      { function: 'no_such_yet', params: [] },
      { function: 'add_note', params: [key] },
    ],
  }
  const first = await send(one, '/batch', key, body)
  expect(first.body.results).toMatchObject([
    { row_count: 1 },
    { status: 404, error: 'function_not_found' },
    { row_count: 1 },
  ])
  expect(first.body.results[1]).not.toHaveProperty('call')
  await define(`create function no_such_yet() returns text language sql as $$ select 'now' $$`)
  const second = await send(other, '/batch', key, body)
  expect(second.body.results[0]).toEqual(first.body.results[0])
  expect(second.body.results[1]).toMatchObject({ rows: [{ no_such_yet: 'now' }] })
  expect(second.body.results[2]).toEqual(first.body.results[2])
  expect(second.isReplay).toBe(false)
  expect(await notes(key)).toBe(2)
  const third = await send(one, '/batch', key, body)
  expect(third).toMatchObject({ isReplay: true, text: second.text })
  const fewer = await send(one, '/batch', key, { calls: body.calls.slice(0, 1) })
  expect(fewer).toMatchObject({ status: 422, body: { error: 'idempotency_key_reused' } })
})

test('a batch that is all or nothing keeps all or nothing', async () => {
  const key = uniqueName('key')
  const calls = [
    { function: 'add_note', params: [key] },
    { function: 'comes_later', params: [] },
  ]
  const body = { calls, transaction: true }
  expect(await send(one, '/batch', key, body)).toMatchObject({ status: 404, body: { call: 1 } })
  expect(await notes(key)).toBe(0)
  await define(`create function comes_later() returns text language sql as $$ select 'now' $$`)
  const first = await send(one, '/batch', key, body)
  expect(first.body.results).toMatchObject([{ row_count: 1 }, { rows: [{ comes_later: 'now' }] }])
  for (const gateway of [one, other]) {
    const again = await send(gateway, '/batch', key, body)
    expect(again).toMatchObject({ isReplay: true, text: first.text })
  }
  expect(await notes(key)).toBe(1)
})

test('the table is made where an earlier gateway has deployed', async () => {
  await administer(`
    drop table _db_gateway.answers;
    drop function _db_gateway.claim_answer, _db_gateway.keep_answer, _db_gateway.sweep_answers`)
  const key = uniqueName('key')
  const sent = [one, other, one, other].map((gateway) => call(gateway, key, 'add_note', key))
  const answers = await Promise.all(sent)
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
  expect(answers[0]!.status).toBe(200)
  expect(await notes(key)).toBe(1)
})

test('the role of the platform can neither read nor write the table', async () => {
  for (const statement of [
    'select * from _db_gateway.answers',
    'delete from _db_gateway.answers',
    'alter table _db_gateway.answers add column x int',
    'create table _db_gateway.more (a int)',
  ]) {
    await expect(define(statement)).rejects.toMatchObject({ code: '42501' })
  }
})

test('a schema that the platform has put in its place gets nothing of the gateway', async () => {
  await administer('alter schema _db_gateway rename to kept_aside')
  await define(`
    create schema _db_gateway;
    create table _db_gateway.answers (key text, place int, primary key (key, place))`)
  const refused = { status: 409, body: { error: 'name_conflict' } }
  expect(await call(one, uniqueName('key'), 'add_note', 'planted')).toMatchObject(refused)
  await define('drop schema _db_gateway cascade')
  await administer('alter schema kept_aside rename to _db_gateway')
  expect(await call(one, uniqueName('key'), 'ping')).toMatchObject({ status: 200 })
  expect(await notes('planted')).toBe(0)
})

test('answers outlive deploys, and a handover that makes the ledger anew', async () => {
  const key = uniqueName('key')
  const first = await call(one, key, 'add_note', key)
  await administer('comment on schema _db_gateway is null')
  const archive = await pack({ ...textFunction('ping', 'pong'), ...textFunction('pang', 'pong') })
  expect(await one.register(platform, archive)).toMatchObject({ status: 200 })
  const [mark] = await administer(`select obj_description('_db_gateway'::regnamespace) as mark`)
  expect(mark.mark).toContain('catalog ')
  expect(await call(other, key, 'add_note', key)).toMatchObject({ text: first.text })
  await expect(define('select * from _db_gateway.answers')).rejects.toMatchObject({ code: '42501' })
})

test('an answer is kept for IDEMPOTENCY_TTL_SECS, and swept', async () => {
  const brief = await startTestGateway({
    DATABASE_URL: url,
    IDEMPOTENCY_TTL_SECS: '1',
  })
  try {
    const key = uniqueName('brief')
    await call(brief, key, 'add_note', key)
    expect(await call(one, key, 'add_note', key)).toMatchObject({ isReplay: true })
    const left = `select from _db_gateway.answers where key = '${key}'`
    await until(async () => (await administer(left)).length === 0)
    const [others] = await administer('select count(*)::int as n from _db_gateway.answers')
    expect(others.n).toBeGreaterThan(0)
    // One that was not swept yet counts as little.
    await administer(
      `insert into _db_gateway.answers (key, place, fingerprint, rows, row_count, took_ms, expires_at)
       values ('${key}', 0, '', '[]', 0, 0, now() - interval '1 second')`,
    )
    expect(await call(one, key, 'add_note', key)).toMatchObject({ isReplay: false })
    expect(await notes(key)).toBe(2)
  } finally {
    await brief.stop()
  }
})

test('what is kept in a renamed tenant is swept under its new name', async () => {
  const tenant = { platform, tenant_id: 'before' }
  const brief = await startTestGateway({ DATABASE_URL: url, IDEMPOTENCY_TTL_SECS: '3' })
  try {
    await one.register(platform, await pack(textFunction('ping', 'pong')), 'before')
    const headers = { 'idempotency-key': '"swept"' }
    await brief.post('/call', { ...tenant, function: 'ping' }, headers)
    expect((await one.post('/admin/rename-tenant', { ...tenant, to: 'after' })).status).toBe(200)
    const kept = () =>
      queryDatabase(`${platform}_after`, 'select from _db_gateway.answers', { asGateway: true })
    expect(await kept()).toHaveLength(1)
    await until(async () => (await kept()).length === 0)
  } finally {
    await brief.stop()
  }
})
