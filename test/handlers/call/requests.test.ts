import { describe, expect, test } from 'vitest'
import { dropDatabase, queryDatabase, uniqueName } from '../../helpers/gateway.ts'
import { pack, textFunction } from '../../helpers/platforms.ts'

import {
  define,
  gateway,
  MAX_BODY_BYTES,
  pingBody,
  platform,
  post,
  type RawRequest,
  raw,
  setUp,
} from './setup.ts'

setUp()

describe('the request', () => {
  test.each([
    ['a syntax error', '{"platform":"x",}', /^The body is not JSON: .*position 16/],
    ['an end too early', '{"platform":"x"', /^The body is not JSON: .*position 15/],
    ['something after it', '{"platform":"x"} x', /^The body is not JSON: .*position 17/],
    ['another word', '{"platform":nope}', /^The body is not JSON: .*"platform":nope/],
    ['an array', '[1]', /^The body is not a JSON object/],
    ['a string', '"x"', /^The body is not a JSON object/],
    ['a number', '1.50', /^The body is not a JSON object/],
    ['null', 'null', /^The body is not a JSON object/],
    ['nothing', '', /^The body is empty/],
  ])('whose body is %s is a 400', async (_, body, message) => {
    expect(await post(body)).toMatchObject({
      status: 400,
      error: 'invalid_request',
      message: expect.stringMatching(message),
    })
  })

  test('that is not UTF-8 is a 400', async () => {
    for (const bytes of [[0xe9], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xff]]) {
      const chunks = [Buffer.from('{"platform":"'), Buffer.from(bytes), Buffer.from('"}')]
      const { status, text } = await raw({ chunks })
      expect([status, JSON.parse(text)]).toMatchObject([
        400,
        { error: 'invalid_request', message: 'The body is not UTF-8' },
      ])
    }
  })

  test('of another content type is a 415', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonx']) {
      const answer = await gateway.post('/call', pingBody(), { 'content-type': type })
      expect(answer).toMatchObject({
        status: 415,
        body: { error: 'unsupported_media_type', message: expect.stringContaining(type) },
      })
    }
  })

  test('may say its content type in other ways', async () => {
    for (const type of [
      'application/json; charset=utf-8',
      'APPLICATION/JSON',
      'application/x+json',
    ]) {
      const answer = await gateway.post('/call', pingBody(), { 'content-type': type })
      expect(answer.body.rows).toEqual([{ ping: 'pong' }])
    }
  })

  test('in many small pieces is put together', async () => {
    await define(`
      create function welcome(p_name text) returns text language sql as $$ select p_name || '!' $$
    `)
    const body = Buffer.from(JSON.stringify({ platform, function: 'welcome', params: ['Zoë 😀'] }))
    const chunks = [...body].map((byte) => Buffer.from([byte]))
    const { text } = await raw({ chunks })
    expect(JSON.parse(text).rows).toEqual([{ welcome: 'Zoë 😀!' }])
  })

  test('has no members that the endpoint does not know', async () => {
    expect(await post(pingBody({ comment: 'x', trace: { id: 1 } }))).toMatchObject({
      status: 400,
      message: expect.stringContaining('Unknown member "comment": this endpoint takes platform'),
    })
  })

  test.each([
    ['platform', { function: 'ping' }, 'platform is missing'],
    ['platform', { platform: null, function: 'ping' }, 'platform is missing'],
    ['platform', { platform: '', function: 'ping' }, 'platform is missing'],
    ['function', { platform }, 'function is missing'],
    ['function', { platform, function: null }, 'function is missing'],
    ['function', { platform, function: '' }, 'function is missing'],
  ])('without %s: %j', async (_, body, message) => {
    expect(await post(body)).toMatchObject({ status: 400, error: 'invalid_request', message })
  })

  test.each(['my platform', 'a.b', 'a/b', 'ü', '"', "a'b", 'x'.repeat(64)])(
    'with the platform %j is a 400',
    async (value) => {
      expect(await post({ platform: value, function: 'ping' })).toMatchObject({
        status: 400,
        error: 'invalid_request',
        message: expect.stringMatching(/^platform must be 1 to 63 letters/),
      })
    },
  )

  test.each(['a b', 'a.b', '../x', 'x'.repeat(64)])(
    'with the tenant %j is a 400',
    async (value) => {
      expect(await post({ platform, tenant_id: value, function: 'ping' })).toMatchObject({
        status: 400,
        error: 'invalid_request',
        message: expect.stringMatching(/^tenant_id must be 1 to 63 letters/),
      })
    },
  )

  test.each([7, 1.5, false, [], ['a'], {}])('with a name that is no string: %j', async (value) => {
    for (const field of ['platform', 'tenant_id']) {
      expect(await post({ platform, function: 'ping', [field]: value })).toMatchObject({
        status: 400,
        error: 'invalid_request',
        message: `${field} must be a string; got ${JSON.stringify(value)}`,
      })
    }
  })

  test('with the tenant "main" is refused, in every case', async () => {
    for (const tenant_id of ['main', 'MAIN', 'Main']) {
      expect(await post({ platform, tenant_id, function: 'ping' })).toMatchObject({
        status: 400,
        error: 'invalid_request',
        message: expect.stringContaining('leave tenant_id out'),
      })
    }
  })

  test('without a tenant means the main database; an empty one is a mistake', async () => {
    for (const tenant_id of [undefined, null]) {
      expect(await post({ platform, tenant_id, function: 'ping' })).toMatchObject({ status: 200 })
    }
    for (const tenant_id of ['', 'null']) {
      expect(await post({ platform, tenant_id, function: 'ping' })).toMatchObject({ status: 400 })
    }
  })

  test('whose names are too long together is a 400', async () => {
    const names = { platform: 'p'.repeat(40), tenant_id: 't'.repeat(40) }
    expect(await post({ ...names, function: 'ping' })).toMatchObject({
      status: 400,
      error: 'invalid_request',
      message: expect.stringContaining('81 bytes'),
    })
  })
})

describe('a body over the limit', () => {
  const body = (bytes: number) => {
    const empty = pingBody({ session: { 'app.padding': '' } })
    return pingBody({ session: { 'app.padding': 'x'.repeat(bytes - empty.length) } })
  }
  const large = body(MAX_BODY_BYTES + 1)
  const tooLarge = {
    error: 'payload_too_large',
    message: `The body is larger than ${MAX_BODY_BYTES} bytes`,
  }

  test('is refused by its announced length', async () => {
    const headers = { 'content-length': String(large.length) }
    const { status, text } = await raw({ headers, chunks: [large] })
    expect([status, JSON.parse(text)]).toEqual([413, tooLarge])
  })

  test('is refused without one', async () => {
    const chunks = large.match(/.{1,9999}/gs)!
    const { status, text } = await raw({ headers: { 'transfer-encoding': 'chunked' }, chunks })
    expect([status, JSON.parse(text)]).toEqual([413, tooLarge])
  })

  test('is refused before it is sent, where the client waits', async () => {
    const { status, text, continued } = await raw({
      headers: { 'content-length': String(large.length), expect: '100-continue' },
      chunks: [large],
      waits: true,
    })
    expect([status, JSON.parse(text), continued]).toEqual([413, tooLarge, false])
  })

  test('is refused where it is far larger than it may be', async () => {
    const headers = { 'content-length': String(10 * 1024 ** 3), expect: '100-continue' }
    const { status, headers: answered } = await raw({ headers, waits: true })
    expect([status, answered.connection]).toEqual([413, 'close'])
  })

  test('does not keep the connection from being used again', async () => {
    const sizes = [large.length, 200, large.length, 200]
    const statuses: number[] = []
    for (const size of sizes) statuses.push((await gateway.post('/call', body(size))).status)
    expect(statuses).toEqual([413, 200, 413, 200])
  })

  test('one of exactly the limit is taken, in each of these ways', async () => {
    const chunks = [body(MAX_BODY_BYTES)]
    const length = { 'content-length': String(MAX_BODY_BYTES) }
    const requests: RawRequest[] = [
      { chunks, headers: length },
      { chunks, headers: { 'transfer-encoding': 'chunked' } },
      { chunks, headers: { ...length, expect: '100-continue' }, waits: true },
    ]
    for (const one of requests) {
      const { status, continued } = await raw(one)
      expect([status, continued]).toEqual([200, one.waits ?? false])
    }
  })
})

describe('databases', () => {
  test('that do not exist are a 404', async () => {
    const nobody = uniqueName('nobody')
    expect(await post({ platform: nobody, function: 'ping' })).toMatchObject({
      status: 404,
      error: 'database_not_found',
      database: `${nobody}_main`,
    })
    expect(await post({ platform, tenant_id: 'nobody', function: 'ping' })).toMatchObject({
      status: 404,
      error: 'database_not_found',
      database: `${platform}_nobody`,
    })
  })

  test('of another platform are a 403', async () => {
    const a = uniqueName('a')
    const archive = await pack(textFunction('secret', 'of a_b'))
    expect(await gateway.register(`${a}_b`, archive, 'c')).toMatchObject({ status: 200 })
    const call = (platform: string, tenant_id: string) =>
      post({ platform, tenant_id, function: 'secret' })
    expect(await call(a, 'b_c')).toMatchObject({
      status: 403,
      error: 'platform_isolation_violation',
      database: `${a}_b_c`,
    })
    expect(await call(`${a}-b`, 'c')).toMatchObject({ status: 403 })
    expect(await call(`${a.toUpperCase()}_b`, 'c')).toMatchObject({ status: 403 })
    expect(await call(`${a}_b`, 'c')).toMatchObject({ rows: [{ secret: 'of a_b' }] })
  })

  test('of another tenant whose name is written alike are a 404', async () => {
    const archive = await pack(textFunction('secret', 'of Org-1'))
    expect(await gateway.register(platform, archive, 'Org-1')).toMatchObject({ status: 200 })
    const call = (tenant_id: string) => post({ platform, tenant_id, function: 'secret' })
    for (const tenant of ['org_1', 'org-1', 'Org_1']) {
      expect(await call(tenant)).toMatchObject({ status: 404, error: 'database_not_found' })
    }
    expect(await call('Org-1')).toMatchObject({ rows: [{ secret: 'of Org-1' }] })
  })

  test('that are not in the catalog are not there', async () => {
    const name = uniqueName('stranger')
    await queryDatabase('postgres', `create database ${name}_main`)
    try {
      expect(await post({ platform: name, function: 'ping' })).toMatchObject({ status: 404 })
    } finally {
      await queryDatabase('postgres', `drop database ${name}_main`)
    }
  })

  test('that were dropped by hand are a 404', async () => {
    const gone = uniqueName('gone')
    await gateway.register(gone, await pack(textFunction('ping', 'pong')))
    expect((await gateway.call(gone, 'ping')).status).toBe(200)
    await dropDatabase(`${gone}_main`)
    const answer = await gateway.call(gone, 'ping')
    // The first call may still find the connection that was cut.
    if (answer.status === 503) expect(answer.body.error).toBe('connection_failed')
    else expect(answer.status).toBe(404)
    expect(await post({ platform: gone, function: 'ping' })).toMatchObject({
      status: 404,
      error: 'database_not_found',
      database: `${gone}_main`,
    })
  })
})
