import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { createPost } from '../../../lib/tracing/post.ts'
import { afterTest } from '../../helpers/after-test.ts'

test('an answer without an end is read to a limit, and its status counts', async () => {
  const server = createServer((_, res) => {
    const goOn = () => {
      while (res.write('x'.repeat(16_384)));
      if (!res.destroyed) res.once('drain', goOn)
    }
    goOn()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  afterTest(() => server.close())
  const { port } = server.address() as AddressInfo
  const url = new URL(`http://127.0.0.1:${port}/`)
  const { post, close } = createPost({ url, headers: [], isCompressed: false, timeoutMs: 10_000 })
  afterTest(close)
  const { status, body } = await post('{}')
  expect(status).toBe(200)
  expect(body.length).toBeLessThan(200_000)
})
