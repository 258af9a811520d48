import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Json,
  schemaForm,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'

const MAX_BODY_BYTES = 100_000

let gateway: TestGateway
let platform: string
beforeAll(async () => {
  gateway = await startTestGateway({ MAX_BODY_BYTES: `${MAX_BODY_BYTES}` })
  platform = uniqueName('body')
  await gateway.register(
    platform,
    await pack({
      'functions/length.pssql': `
        create function size_of(p text) returns integer language sql as $$ select length(p) $$;`,
    }),
  )
})
afterAll(() => gateway.stop())

const callOf = (length: number) =>
  JSON.stringify({ platform, function: 'size_of', params: ['x'.repeat(length)] })

async function send(bytes: Uint8Array, encoding: string) {
  const response = await fetch(`${gateway.url}/call`, {
    method: 'POST',
    body: new Uint8Array(bytes),
    headers: { 'content-type': 'application/json', 'content-encoding': encoding },
  })
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Json,
  }
}

describe('C7: Content-Encoding of a request', () => {
  test.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['GZIP', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['identity', (text: string) => Buffer.from(text)],
  ])('%s is taken', async (encoding, encode) => {
    const { status, body } = await send(encode(callOf(50_000)), encoding)
    expect([status, body.rows]).toEqual([200, [{ size_of: 50_000 }]])
  })

  test.each([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
  ])('%s of more than MAX_BODY_BYTES is 413', async (encoding, encode) => {
    const { status, body } = await send(encode(callOf(20_000_000)), encoding)
    expect([status, body.error]).toEqual([413, 'payload_too_large'])
    expect(body.message).toContain(`${MAX_BODY_BYTES}`)
  })

  test('what is not of its encoding is 400', async () => {
    const whole = gzipSync(callOf(1000))
    for (const bytes of [Buffer.from(callOf(10)), whole.subarray(0, whole.length - 9)]) {
      const { status, body } = await send(bytes, 'gzip')
      expect([status, body]).toEqual([
        400,
        { error: 'invalid_request', message: 'The body is not gzip' },
      ])
    }
  })

  test.each(['zstd', 'gzip, br', 'toString'])(
    '%s is 415, and the answer says what is taken',
    async (encoding) => {
      const { status, headers, body } = await send(gzipSync(callOf(10)), encoding)
      expect([status, body.error]).toEqual([415, 'unsupported_media_type'])
      expect(headers.get('accept-encoding')).toBe('gzip, deflate, br')
    },
  )

  test('a form has none', async () => {
    const form = new Request('http://x', {
      method: 'POST',
      body: schemaForm(platform, new Uint8Array()),
    })
    const { status } = await fetch(`${gateway.url}/register`, {
      method: 'POST',
      body: gzipSync(new Uint8Array(await form.arrayBuffer())),
      headers: { 'content-type': form.headers.get('content-type')!, 'content-encoding': 'gzip' },
    })
    expect(status).toBe(415)
  })
})
