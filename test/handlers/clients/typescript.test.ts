import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { answering } from '../../helpers/answering.ts'
import { PROJECT, startTestGateway, type TestGateway, uniqueName } from '../../helpers/gateway.ts'
import { listen, losing } from '../../helpers/losing-proxy.ts'
import { clinicFiles, ODD_NAMES, pack } from '../../helpers/platforms.ts'

const platform = uniqueName('ts')
const TSC = join(PROJECT, 'node_modules/typescript/bin/tsc')

/** Functions for what the clinic has not. */
const MORE = {
  'migrations/901_range.pssql': 'create type odd_range as range (subtype = float8);',
  'functions/more.pssql': `
    create or replace function big(p_id bigint default 9007199254740993) returns table (
      o_id bigint, o_ids bigint[], o_total numeric, o_name text)
    language sql stable as $$ select p_id, array[p_id, null], 12.30, 'n' $$;
    comment on function big is 'Numbers of many digits.
@param p_id What comes back */ export const hacked = 1
@column o_total With two decimals
@not_null o_id';
    create or replace function withdraw(p_amount numeric) returns numeric
    language plpgsql as $$ begin
      if p_amount > 10 then raise exception 'Too much' using errcode = 'PT402', detail = 'Of 10'; end if;
      return 10 - p_amount;
    end $$;
    comment on function withdraw is 'Takes money.
@error PT402 The balance is too low
@error 22003 The amount has too many digits';
    create or replace function series(p_to int, p_fail int default null) returns setof int
    language plpgsql as $$ begin
      for i in 1..p_to loop
        if i = p_fail then raise exception 'Row %', i; end if;
        return next i;
      end loop;
    end $$;
    create or replace function late(p_to int) returns setof int language sql stable
    as $$ select 10 / (p_to - i) from generate_series(1, p_to) i $$;
    create or replace function nap(p_secs float8) returns void language sql as $$ select pg_sleep(p_secs) $$;
    create or replace function unnamed(int, text) returns text language sql immutable as $$ select $2 || $1 $$;
    create or replace function enroll("class" text, "public" boolean default true, "default" int default 5)
    returns text language sql immutable as $$ select "class" $$;
    create or replace function "then"() returns int language sql immutable as $$ select 1 $$;
    create or replace function odd_numbers(b timestamptz, c float8, d numeric, e real)
    returns table (o_c float8, o_d numeric, o_e real) language sql stable as $$ select c, d, e $$;
    create or replace function counted(p_reset boolean) returns bigint language sql as $$
      insert into settings (key, value) values ('counted', '1')
      on conflict (key) do update set value = to_jsonb(settings.value::int + 1)
      returning (value #>> '{}')::bigint $$;`,
}

const whoFunction =
  'create or replace function who() returns name language sql stable as $$ select current_database() $$;'

let gateway: TestGateway
let folder: string
// biome-ignore lint/suspicious/noExplicitAny: a module that was just written
let digits: any
// biome-ignore lint/suspicious/noExplicitAny: as above
let bigints: any

beforeAll(async () => {
  gateway = await startTestGateway()
  const archive = await pack({ ...(await clinicFiles()), ...ODD_NAMES, ...MORE })
  expect((await gateway.register(platform, archive)).body).toMatchObject({ status: 'ready' })
  const settings = Object.fromEntries(
    Object.entries(await clinicFiles()).filter(([path]) => /_setting\./.test(path)),
  )
  const north = await pack({
    'migrations/001.pssql': `create table settings (
      key text primary key, value jsonb not null, updated_at timestamptz default now())`,
    ...settings,
  })
  expect((await gateway.register(platform, north, 'north')).body).toMatchObject({ status: 'ready' })
  folder = await mkdtemp(join(PROJECT, 'test-types-'))
  for (const bigint of ['string', 'bigint']) {
    const { body, status } = await gateway.get(`/types.ts?platform=${platform}&bigint=${bigint}`)
    expect(status, body.message).toBe(200)
    await writeFile(join(folder, `${bigint}.ts`), body)
  }
  digits = await import(join(folder, 'string.ts'))
  bigints = await import(join(folder, 'bigint.ts'))
})
afterAll(async () => {
  await rm(folder, { recursive: true })
  await gateway.stop()
})

const connect = (options = {}) => digits.connect({ url: gateway.url, tenant: null, ...options })

const failure = (work: Promise<unknown>) =>
  work.then(
    () => expect.unreachable('It was done'),
    (error) => error,
  )

async function all(rows: AsyncIterable<unknown>): Promise<unknown[]> {
  const list = []
  for await (const row of rows) list.push(row)
  return list
}

test('the types are strict: right uses compile, and wrong ones do not', async () => {
  await mkdir(join(folder, 'compiled'))
  for (const name of ['string.ts', 'bigint.ts']) {
    await cp(join(folder, name), join(folder, 'compiled', name))
  }
  await cp(join(import.meta.dirname, 'typescript-uses.ts.txt'), join(folder, 'compiled/uses.ts'))
  const compilerOptions = {
    strict: true,
    noEmit: true,
    target: 'es2022',
    lib: ['es2022', 'dom', 'dom.asynciterable'],
    types: [],
    module: 'nodenext',
    moduleResolution: 'nodenext',
    allowImportingTsExtensions: true,
    noUncheckedIndexedAccess: true,
    noPropertyAccessFromIndexSignature: true,
    noUnusedLocals: true,
    noUnusedParameters: true,
    exactOptionalPropertyTypes: true,
    verbatimModuleSyntax: true,
    erasableSyntaxOnly: true,
    noImplicitOverride: true,
  }
  await writeFile(join(folder, 'compiled/package.json'), '{"type":"module"}')
  await writeFile(
    join(folder, 'compiled/tsconfig.json'),
    JSON.stringify({ compilerOptions, include: ['*.ts'] }),
  )
  const compiled = promisify(execFile)(process.execPath, [TSC, '-p', join(folder, 'compiled')])
  const { stdout } = await compiled.catch((error) => error)
  expect(stdout).toBe('')
})

describe('calls', () => {
  test('take parameters by name and by position, and give typed rows', async () => {
    const db = connect()
    const [byName] = await db.get_patient_by_id({ p_patient_id: 1 })
    expect(byName).toMatchObject({ o_patient_id: 1, o_is_active: true })
    expect(await db.get_patient_by_id([1])).toEqual([byName])
    expect(await db.unnamed([7, 'x'])).toEqual([{ unnamed: 'x7' }])
    expect(await db.ping()).toEqual([{ ping: 'pong' }])
  })

  test('send NaN and infinities, and no invalid Date', async () => {
    const db = connect()
    const odd = { b: null, c: Number.POSITIVE_INFINITY, d: Number.NaN, e: Number.NEGATIVE_INFINITY }
    const rows = [{ o_c: 'Infinity', o_d: 'NaN', o_e: '-Infinity' }]
    expect(await db.odd_numbers(odd)).toEqual(rows)
    const refused = await failure(db.odd_numbers({ ...odd, b: new Date(Number.NaN) }))
    expect(refused).toEqual(new TypeError('b is an invalid Date'))
  })

  test('are no promise of a client, whatever the functions are named', async () => {
    const db = await connect()
    expect(db.then).toBeUndefined()
    const answer = await db.$batch([db.$call.then()])
    expect(JSON.stringify(answer)).toBe('[[{"then":1}]]')
  })

  test('go to the tenant that the client is bound to', async () => {
    const north = connect({ tenant: 'north' })
    await north.set_setting(['name', 'North'])
    expect(await north.get_setting(['name', 'none'])).toEqual([{ get_setting: 'North' }])
    expect(await north.$tenant(null).get_setting(['name', 'none'])).toEqual([
      { get_setting: 'none' },
    ])
    expect(await failure(connect({ tenant: 'no-such' }).ping())).toMatchObject({
      status: 404,
      code: 'database_not_found',
    })
    expect(() => digits.connect({ url: gateway.url })).toThrow('tenant is missing')
  })

  test('keep every digit, as text or as bigint', async () => {
    const row = { o_total: '12.30', o_name: 'n' }
    const text = { ...row, o_id: '9007199254740993', o_ids: ['9007199254740993', null] }
    expect(await connect().big()).toEqual([text])
    expect(await connect().big({ p_id: 9007199254740993n })).toEqual([text])
    const db = bigints.connect({ url: gateway.url, tenant: null })
    const big = { ...row, o_id: 9007199254740995n, o_ids: [9007199254740995n, null] }
    expect(await db.big([9007199254740995n])).toEqual([big])
    const [streamed] = await all(db.$stream.big([9007199254740995n]))
    expect(streamed).toEqual(big)
  })

  test('of odd names', async () => {
    const db = bigints.connect({ url: gateway.url, tenant: null })
    const type = { 'a b': 1, "x'y": "it's", '*/': 9007199254740993n, '\\': ['\\'] }
    expect(await db.odd_rows()).toEqual([{ 1: 1, class: '*/ ?> <?php', 'q"t': type }])
    expect(await db.odd_rows({ 'p 1': '*/ ?> <?php', "p'2": 2 })).toHaveLength(1)
    expect(await db.constructor()).toEqual([{ constructor: 2 }])
    expect(Reflect.get(db.$call, '__proto__')()).toEqual({ function: '__proto__' })
  })

  test('take bytes and dates', async () => {
    const db = connect()
    const [{ attach_document: id }] = await db.attach_document({
      p_patient_id: 1,
      p_file_name: 'a.bin',
      p_content: Buffer.from([0, 255]),
    })
    expect(await db.document_content([id])).toEqual([{ document_content: '\\x00ff' }])
  })
})

test('errors are told apart by class, SQLSTATE and code', async () => {
  const db = connect()
  const tooMuch = await failure(db.withdraw([11]))
  expect(tooMuch).toBeInstanceOf(digits.GatewayError)
  expect(tooMuch).toMatchObject({
    status: 402,
    sqlstate: 'PT402',
    detail: 'Of 10',
    code: 'query_failed',
  })
  expect(digits.hasSqlstate(tooMuch, 'PT402')).toBe(true)
  expect(digits.hasSqlstate(tooMuch, '23505')).toBe(false)
  const patient = { p_name: 'A', p_birth_date: '2000-01-01', p_email: 'a@example.org' }
  await db.create_patient(patient)
  const twice = await failure(db.create_patient(patient))
  expect(twice).toBeInstanceOf(digits.UniqueViolation)
  expect(twice.constraint).toBe('patients_email_key')
})

test('batches give the rows or the error of each; transactions are all or nothing', async () => {
  const db = connect()
  const [one, two] = await db.$batch([db.$call.ping(), db.$call.withdraw([11])])
  expect(one).toEqual([{ ping: 'pong' }])
  expect(two).toMatchObject({ sqlstate: 'PT402' })
  const calls = [db.$call.set_setting(['batch', 'kept']), db.$call.withdraw([11])]
  expect(await failure(db.$transaction(calls))).toMatchObject({ sqlstate: 'PT402' })
  expect(await db.$transaction([db.$call.get_setting(['batch', 'none'])])).toEqual([
    [{ get_setting: 'none' }],
  ])
})

test('streams give rows one by one, and the error that cuts them off', async () => {
  const db = connect()
  const seen: number[] = []
  for await (const { series } of db.$stream.series({ p_to: 3000 })) seen.push(series)
  expect([seen.length, seen.at(-1)]).toEqual([3000, 3000])
  for await (const { series } of db.$stream.series([100_000])) if (series === 5) break
  const cut = await failure(all(db.$stream.late([30_000])))
  expect(cut).toBeInstanceOf(digits.GatewayError)
  const first = await failure(all(db.$stream.series([5, 5])))
  expect(first).toBeInstanceOf(digits.RaisedException)
})

test('the last line of a stream that is cut is its error; without one it is a lost connection', async () => {
  const lines = [
    '{"error":"a row"}\n',
    '{"error":"query_failed","message":"x","sqlstate":"22012"}\n',
  ]
  for (const [sent, expected] of [
    [2, { sqlstate: '22012', code: 'query_failed' }],
    [1, { code: 'no_answer' }],
    [0, { code: 'no_answer' }],
  ] as const) {
    const server = createServer((_, res) => {
      res.write('{"row":1}\n')
      for (const line of lines.slice(0, sent)) res.write(line)
      setTimeout(() => res.destroy(), 200)
    })
    const db = connect({ url: await listen(server) })
    const seen: unknown[] = []
    const cut = await failure(
      (async () => {
        for await (const row of db.$stream.series([9])) seen.push(row)
      })(),
    )
    expect(cut).toMatchObject(expected)
    expect(seen).toEqual(sent === 2 ? [{ row: 1 }, { error: 'a row' }] : [{ row: 1 }])
    server.close()
  }
})

test('an AbortSignal ends a call', async () => {
  const controller = new AbortController()
  const call = failure(connect().nap([30], { signal: controller.signal }))
  await expect.poll(() => gateway.gateway.pools.status().connections).toBeGreaterThan(0)
  controller.abort()
  expect((await call).name).toBe('AbortError')
  expect(await failure(connect().nap([30], { timeoutMs: 20 }))).toMatchObject({ status: 504 })
})

describe('a proxy loses answers', () => {
  test('a call that reads is sent again', async () => {
    await using proxy = await losing(gateway.url, 2)
    expect(await connect({ url: proxy.url }).unnamed([1, 'a'])).toEqual([{ unnamed: 'a1' }])
    expect(proxy.keys).toEqual([undefined, undefined, undefined])
  })

  test('a write is sent again with the same key alone, and happens once', async () => {
    await using proxy = await losing(gateway.url, 1)
    const db = connect({ url: proxy.url })
    const lost = await failure(db.counted([true]))
    expect(lost).toMatchObject({ code: 'no_answer', mayHaveRun: true })
    expect(proxy.keys).toHaveLength(1)
    await using again = await losing(gateway.url, 1)
    const safe = connect({ url: again.url, idempotent: true })
    expect(await safe.counted([true])).toEqual([{ counted: '2' }])
    expect(again.keys[0]).toMatch(/^[\da-f-]{36}$/)
    expect(again.keys).toEqual([again.keys[0], again.keys[0]])
  })

  test('no more often than `attempts`', async () => {
    await using proxy = await losing(gateway.url, 9)
    await failure(connect({ url: proxy.url, attempts: 2 }).unnamed([1, 'a']))
    expect(proxy.keys).toHaveLength(2)
  })
})

test('a call waits no hour for its next try', async () => {
  await using busy = await answering(503, { 'retry-after': '3600' }, 'pool_exhausted')
  const refused = await failure(connect({ url: busy.url }).unnamed([1, 'a']))
  expect(refused).toMatchObject({ code: 'pool_exhausted' })
})

test('a tenant of a schema is named by its uuid', async () => {
  const archive = await pack({ 'functions/who.pssql': whoFunction })
  const given = { schema_name: 'shop', uuid: 'aa-bb' }
  expect((await gateway.register(platform, archive, undefined, given)).status).toBe(200)
  const query = `platform=${platform}&schema=shop&uuid=aa-bb`
  const { body } = await gateway.get(`/types.ts?${query}`)
  expect(body).not.toContain('aa-bb')
  await writeFile(join(folder, 'shop.ts'), body)
  const shop = (await import(join(folder, 'shop.ts'))).connect({
    url: gateway.url,
    tenant: 'aa-bb',
  })
  expect(await shop.who()).toEqual([{ who: `${platform}_shop_aa_bb` }])
  const { body: api } = await gateway.get(`/openapi.json?${query}`)
  expect(Object.keys(api.paths)).toContain('/call#who')
  const both = await gateway.get(`/types.ts?${query}&schema_name=shop`)
  expect(both.body.message).toContain('schema and schema_name')
})

test('the query is checked', async () => {
  const asked = (query: string) => gateway.get(`/types.ts?${query}`)
  expect((await asked('')).body).toMatchObject({ error: 'invalid_request' })
  expect((await asked(`platform=${platform}&bigint=number`)).body.message).toContain('bigint')
  expect((await asked(`platform=${platform}&bigints=string`)).status).toBe(400)
  expect((await asked(`platform=${platform}&tenant_id=`)).body.message).toContain('is empty')
  expect((await asked(`platform=${platform}`)).body).not.toContain('odd_range: {')
  expect((await asked('platform=no-such')).body.error).toBe('database_not_found')
  expect((await asked(`platform=${platform}&tenant_id=north`)).status).toBe(200)
})
