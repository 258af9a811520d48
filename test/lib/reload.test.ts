import { expect, test } from 'vitest'
import { readConfig } from '../../lib/config.ts'
import { startOneGateway } from '../helpers/for-file.ts'
import { uniqueName } from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

const gateway = await startOneGateway()
const platform = uniqueName('live')
await gateway.register(
  platform,
  await pack({
    'functions/all.pssql': `
      create schema other;
      create function big() returns bigint language sql stable as $$ select 1::bigint $$;
      create function long(n int) returns text language sql stable as $$ select repeat('x', n) $$;
      create function wait(s float8) returns void language sql as $$ select pg_sleep(s) $$;`,
  }),
)

/** Puts these settings into force, with the defaults of all others. */
function reload(env: Record<string, string> = {}) {
  const config = readConfig({ TEMPLATES: 'off', ...env })
  const { server, host, port } = gateway.gateway.config
  gateway.reload({ ...config, server, host, port })
}
const call = (name: string, params: unknown[] = []) => gateway.call(platform, name, params)
const admin = (token?: string) =>
  gateway.get('/admin/platforms', token ? { authorization: `Bearer ${token}` } : {})

test('settings of calls hold from the next call on', async () => {
  expect((await call('big')).body.rows).toEqual([{ big: 1 }])
  reload({ NUMERIC_FORMAT: 'string', MAX_RESULT_BYTES: '100' })
  expect((await call('big')).body.rows).toEqual([{ big: '1' }])
  expect(await call('long', [200])).toMatchObject({ status: 413 })
  reload({ MAX_BODY_BYTES: '100' })
  expect((await call('long', [200])).status).toBe(200)
  expect(await call('long', ['x'.repeat(200)])).toMatchObject({ status: 413 })
  reload({ STATEMENT_TIMEOUT_SECS: '1' })
  expect(await call('wait', [3])).toMatchObject({ status: 504, body: { error: 'query_timeout' } })
  reload({ CALLABLE_SCHEMAS: 'pg_catalog' })
  expect(await call('big')).toMatchObject({ status: 404, body: { error: 'function_not_found' } })
  reload()
  expect((await call('big')).status).toBe(200)
  expect((await call('wait', [1.5])).status).toBe(200)
})

test('who may send requests is judged anew, on open connections too', async () => {
  expect((await admin()).status).toBe(200)
  reload({ ADMIN_NETWORKS: '10.9.9.0/24' })
  expect((await admin()).status).toBe(403)
  reload({ ADMIN_TOKEN: 'one' })
  expect([(await admin()).status, (await admin('one')).status]).toEqual([401, 200])
  reload({ PLATFORM_NETWORKS: `${platform}=10.9.9.0/24` })
  expect(await call('big')).toMatchObject({ body: { error: 'platform_isolation_violation' } })
  reload()
  expect((await call('big')).status).toBe(200)
})

test('connections, memory and the log follow', async () => {
  const { pools, buffered } = gateway.gateway
  reload({ MAX_TOTAL_CONNECTIONS: '7', MAX_BUFFERED_BYTES: '2000000', LOG_LEVEL: 'error' })
  await eventually('seven connections', () => pools.capacity === 7)
  expect(buffered.capacity).toBe(2_000_000)
  const before = gateway.logged.length
  await call('big')
  reload({ LOG_FORMAT: 'ecs', MAX_HTTP_CONNECTIONS: '1' })
  expect(gateway.logged.slice(before).filter(({ path }) => path)).toEqual([])
  // fetch keeps a connection; the next one is one too many.
  const [first, second] = await Promise.all([call('wait', [1]), call('wait', [1])])
  expect([first.status, second.status].sort()).toEqual([200, 503])
  reload()
  const both = await Promise.all([call('wait', [0]), call('wait', [0])])
  expect(both.map(({ status }) => status)).toEqual([200, 200])
  expect(gateway.logged.some((one) => one['http.request.id'] !== undefined)).toBe(true)
})
