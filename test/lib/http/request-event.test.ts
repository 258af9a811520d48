import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getQuery, getRequestHeader, getRouterParams, H3Event, isEvent, readBody } from 'h3'
import { expect, test } from 'vitest'
import { nodeOf } from '../../../lib/http/request.ts'
import { createEvent } from '../../../lib/http/request-event.ts'
import { afterTest } from '../../helpers/after-test.ts'

/** Has a request made into an event, and looks at it. */
async function withEvent<T>(
  init: RequestInit,
  look: (event: H3Event) => T | Promise<T>,
): Promise<T> {
  let seen: T | undefined
  const server = createServer(async (req, res) => {
    seen = await look(
      createEvent(req, res, { params: { id: '7' } } as unknown as H3Event['context']),
    )
    res.end()
  }).listen(0, '127.0.0.1')
  afterTest(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await (await fetch(`http://127.0.0.1:${port}/thing?q=%41`, init)).text()
  return seen!
}

test('an event has the shape of h3’s, and h3’s utilities take it', async () => {
  const seen = await withEvent(
    { method: 'POST', body: '{"a":1}', headers: { 'x-name': 'v' } },
    async (event) => {
      const { req, url } = event
      event.res.status = 201
      event.res.headers.set('x-own', '1')
      return {
        isOne: isEvent(event) && event instanceof H3Event,
        params: getRouterParams(event),
        query: getQuery(event),
        path: event.url.pathname,
        method: event.req.method,
        header: getRequestHeader(event, 'x-name'),
        body: await readBody(event),
        isSame: event.req === req && event.url === url,
        context: event.req.context === event.context,
        url: nodeOf(event).req.url,
        status: event.res.status,
      }
    },
  )
  expect(seen).toEqual({
    isOne: true,
    params: { id: '7' },
    query: { q: 'A' },
    path: '/thing',
    method: 'POST',
    header: 'v',
    body: { a: 1 },
    isSame: true,
    context: true,
    url: '/thing?q=%41',
    status: 201,
  })
})
