import { describe, expect, test, vi } from 'vitest'
import { hasHaproxy } from '../helpers/haproxy.ts'
import { eventually } from '../helpers/process.ts'
import { call, send } from './load.ts'
import { startWorld } from './world.ts'

vi.setConfig({ testTimeout: 300_000 })

describe.runIf(hasHaproxy())('through HAProxy', () => {
  test('requests and answers pass as they are, with the address of the client', async () => {
    const { haproxy, gateways, platform } = await startWorld(1, { MAX_BODY_BYTES: '4194304' })
    const { url } = haproxy
    const [gateway] = gateways
    const logged = (id: string) =>
      eventually('the line of the request', () =>
        gateway!.entries().find(({ request_id }) => request_id === id),
      )

    // What a client says of its address is dropped.
    await send(`${url}/health`, undefined, {
      'x-forwarded-for': '10.0.1.5',
      forwarded: 'for=10.0.1.6',
      'x-request-id': 'who',
    })
    expect(await logged('who')).toMatchObject({ address: '127.0.0.1', status: 200 })

    // A body up to the limit, and one beyond.
    const long = 'x'.repeat(4_194_304 - 200)
    expect(await call(url, platform, 'mark', [long, 0])).toEqual([{ mark: long }])
    const body = JSON.stringify({ platform, function: 'mark', params: [`${long}${long}`, 0] })
    const { status, text } = await send(`${url}/call`, body)
    expect([status, JSON.parse(text).error]).toEqual([413, 'payload_too_large'])

    // A head of 15 KiB.
    const head = { 'x-long': 'h'.repeat(15 * 1024) }
    expect((await send(`${url}/ready`, undefined, head)).status).toBe(200)
    expect((await send(`${url}/metrics`, undefined)).status).toBe(404)

    // Without a gateway, the error has the form of the gateway's.
    gateway!.kill('SIGKILL')
    await haproxy.until('DOWN')
    const answer = await fetch(`${url}/call`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': 'none' },
      body: JSON.stringify({ platform, function: 'mark', params: ['none', 0] }),
    })
    expect(answer.status).toBe(503)
    expect(await answer.json()).toMatchObject({ error: 'connection_failed', may_have_run: false })
    expect(answer.headers.get('content-type')).toBe('application/json')
    expect(answer.headers.get('x-request-id')).toBe('none')
    expect(answer.headers.get('retry-after')).toBe('1')
  })
})
