import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestGateway, type TestGateway } from '../../../helpers/gateway.ts'
import { pack } from '../../../helpers/platforms.ts'
import { eventually } from '../../../helpers/process.ts'
import { openRaw, parseAnswer, sendRaw } from '../../../helpers/raw-http.ts'

const MEBIBYTE = 1024 * 1024
const platform = 'room'
let gateway: TestGateway

beforeAll(async () => {
  gateway = await startTestGateway({ MAX_BUFFERED_BYTES: String(2 * MEBIBYTE) })
  const files = {
    'functions/length_of.pssql':
      'create or replace function length_of(t text) returns int language sql as $$ select length(t) $$;',
    'functions/text_of.pssql': `create or replace function text_of(n int) returns text language sql
       as $$ select repeat('x', n) $$;`,
  }
  expect((await gateway.register(platform, await pack(files))).status).toBe(200)
})
afterAll(() => gateway?.stop())

const head = (more: string) =>
  `POST /call HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n${more}\r\n\r\n`

const body = (length: number) =>
  JSON.stringify({ platform, function: 'length_of', params: ['x'.repeat(length)] })

const taken = () => gateway.gateway.buffered.taken

describe('where bodies hold what bodies may (MAX_BUFFERED_BYTES)', () => {
  test('another one is refused before it is read; small ones go on', async () => {
    const slow = await openRaw(gateway.url)
    const large = body(900_000)
    slow.socket.write(head(`content-length: ${large.length}`) + large.slice(0, 1000))
    await eventually('it has room', () => taken() === large.length)

    const refused = await gateway.post('/call', body(400_000))
    expect(refused.status).toBe(503)
    expect(refused.body.error).toBe('pool_exhausted')
    expect(refused.body.message).toContain('MAX_BUFFERED_BYTES')
    expect(refused.headers.get('retry-after')).toBe('1')
    expect((await gateway.post('/call', body(1000))).body.rows).toEqual([{ length_of: 1000 }])

    const announced = parseAnswer(
      await sendRaw(gateway.url, head('content-length: 400000\r\nexpect: 100-continue')),
    )
    expect([announced.status, announced.headers.get('connection')]).toEqual([503, 'close'])

    const form = await gateway.register(platform, new Uint8Array(400_000))
    expect([form.status, form.body.error]).toEqual([503, 'pool_exhausted'])

    slow.socket.write(large.slice(1000))
    await eventually('it is answered', () => slow.text().includes('"length_of":900000'))
    await eventually('all is given back', () => taken() === 0)
    expect((await gateway.post('/call', body(400_000))).status).toBe(200)
  })

  test('one that comes in chunks is refused when it finds no more', async () => {
    const slow = await openRaw(gateway.url)
    slow.socket.write(head(`content-length: 700000`) + 'x'.repeat(1000))
    await eventually('it has room', () => taken() === 700_000)
    const chunked = await openRaw(gateway.url)
    chunked.socket.write(head('transfer-encoding: chunked'))
    const chunk = `${(100_000).toString(16)}\r\n${' '.repeat(100_000)}\r\n`
    for (let i = 0; i < 8; i++) chunked.socket.write(chunk)
    const { status, body } = parseAnswer(await chunked.closed)
    expect([status, JSON.parse(body).error]).toEqual([503, 'pool_exhausted'])
    slow.socket.destroy()
    await eventually('all is given back', () => taken() === 0)
  })

  test('one in chunks that finds room has its answer', async () => {
    const chunked = await openRaw(gateway.url)
    chunked.socket.write(head('transfer-encoding: chunked\r\nconnection: close'))
    const text = body(500_000)
    chunked.socket.write(`${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`)
    expect(parseAnswer(await chunked.closed).body).toContain('"length_of":500000')
    await eventually('all is given back', () => taken() === 0)
  })
})

test('an answer that is not read counts until its client has it, or goes away', async () => {
  const text = JSON.stringify({ platform, function: 'text_of', params: [12 * MEBIBYTE] })
  const lazy = await openRaw(gateway.url)
  lazy.socket.pause()
  lazy.socket.write(head(`content-length: ${text.length}`) + text)
  await eventually('it counts', () => taken() > 12 * MEBIBYTE)
  expect((await gateway.post('/call', body(100_000))).status).toBe(503)
  lazy.socket.destroy()
  await eventually('all is given back', () => taken() === 0)
  expect((await gateway.post('/call', text)).body.rows[0].text_of).toHaveLength(12 * MEBIBYTE)
  await eventually('all is given back', () => taken() === 0)
})
