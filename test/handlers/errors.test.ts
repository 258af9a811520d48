import { cp, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { PROJECT, startTestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'

describe('when all connections are busy', () => {
  test('a call waits POOL_WAIT_TIMEOUT_SECS and is told to come again', async () => {
    const gateway = await startTestGateway({
      MAX_CONNECTIONS_PER_POOL: '2',
      POOL_WAIT_TIMEOUT_SECS: '1',
    })
    try {
      const platform = uniqueName('busy')
      await gateway.register(
        platform,
        await pack({
          'functions/nap.pssql':
            'create function nap(s float8) returns void language sql as $$ select pg_sleep(s) $$;',
        }),
      )
      const naps = [3, 3].map((seconds) => gateway.call(platform, 'nap', [seconds]))
      await new Promise((resolve) => setTimeout(resolve, 300))
      const { status, body, headers } = await gateway.call(platform, 'nap', [0])
      expect([status, body.error]).toEqual([503, 'pool_exhausted'])
      expect(body).toMatchObject({ database: `${platform}_main` })
      expect(headers.get('retry-after')).toBe('1')
      // Other databases, and those who wait less, are none the worse for it.
      expect((await gateway.get('/health')).status).toBe(200)
      for (const answer of await Promise.all(naps)) expect(answer.status).toBe(200)
    } finally {
      await gateway.stop()
    }
  })
})

describe('when something goes wrong that should not', () => {
  test('the answer has the request id, and the log has the rest', async () => {
    const folder = await mkdtemp(join(PROJECT, 'test-tmp-'))
    await cp(join(PROJECT, 'handlers'), join(folder, 'handlers'), { recursive: true })
    await symlink(join(PROJECT, 'lib'), join(folder, 'lib'))
    await writeFile(
      join(folder, 'handlers/broken.get.ts'),
      "export default () => { throw new TypeError('secret detail') }",
    )
    const gateway = await startTestGateway({}, join(folder, 'handlers'))
    try {
      const { status, body } = await gateway.get('/broken', { 'x-request-id': 'trace-1' })
      expect(status).toBe(500)
      expect(body).toEqual({
        error: 'internal_error',
        message: 'Internal error: the log has its cause under the request id',
        request_id: 'trace-1',
      })
      const logged = gateway.logged.find((line) => line.level === 'error')
      expect(logged).toMatchObject({ request_id: 'trace-1' })
      expect(logged.error).toContain('TypeError: secret detail\n    at ')
    } finally {
      await gateway.stop()
      await rm(folder, { recursive: true })
    }
  })
})
