import { expect, test } from 'vitest'
import { readConfig } from '../../lib/config.ts'
import { exportTenant, findTools, makeNoise } from '../helpers/dumps.ts'
import { startOneGateway } from '../helpers/for-file.ts'
import { uniqueName } from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

const gateway = await startOneGateway()
const platform = uniqueName('live')
const archive = await pack({
  'functions/all.pssql': `
    create schema other;
    create function big() returns bigint language sql stable as $$ select 1::bigint $$;
    create function long(n int) returns text language sql stable as $$ select repeat('x', n) $$;
    create function wait(s float8) returns void language sql as $$ select pg_sleep(s) $$;`,
})
await gateway.register(platform, archive)

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

test('an open stream of events ends where who may send requests changes, and else goes on', async () => {
  const proxied = { TRUSTED_PROXIES: '127.0.0.0/8', ALLOWED_NETWORKS: '10.0.0.0/8' }
  const open = async () => {
    const headers = { 'x-forwarded-for': '10.0.0.5', authorization: 'Bearer secret' }
    const abort = new AbortController()
    const url = `${gateway.url}/admin/events`
    const { status, body } = await fetch(url, { headers, signal: abort.signal })
    let isEnded = false
    const read = async () => {
      for await (const _ of body!);
      isEnded = true
    }
    read().catch(() => {})
    return { status, isEnded: () => isEnded, close: () => abort.abort() }
  }
  const changes: [Record<string, string>, status: number][] = [
    [{ PLATFORM_NETWORKS: `${platform}=10.9.9.0/24` }, 200],
    [{ ADMIN_TOKEN: 'other' }, 401],
    [{ ADMIN_TOKEN: 'secret' }, 200],
    [{ ADMIN_NETWORKS: '127.0.0.0/8' }, 403],
    [{ ALLOWED_NETWORKS: '10.9.9.0/24' }, 403],
    [{ TRUSTED_PROXIES: '127.0.0.0/8,10.0.0.0/8', ALLOWED_NETWORKS: '10.9.9.0/24' }, 403],
    [{ ALLOWED_HOSTS: 'gateway.internal' }, 200],
  ]
  for (const [change, status] of changes) {
    reload(proxied)
    const stream = await open()
    expect(stream.status).toBe(200)
    reload({ ...proxied, MAX_BODY_BYTES: '1000' })
    expect(gateway.gateway.events.streams).toBe(1)
    reload({ ...proxied, ...change })
    expect([change, gateway.gateway.events.streams]).toEqual([change, 0])
    await eventually('its end', stream.isEnded)
    const again = await open()
    expect([change, again.status]).toEqual([change, status])
    again.close()
    await eventually('its end', () => gateway.gateway.events.streams === 0)
  }
  reload()
})

test('an export goes on while its client may have it, and is cut when it may no longer', async () => {
  const tenant = { platform, tenant_id: 'big' }
  await gateway.register(platform, archive, 'big')
  if (!(await findTools())) {
    expect((await exportTenant(gateway, tenant)).status).toBe(501)
    return
  }
  await makeNoise(`${platform}_big`, 'big', 400)
  const { status, body } = await exportTenant(gateway, tenant)
  expect(status).toBe(200)
  const reader = body!.getReader()
  reload({ PLATFORM_NETWORKS: `${platform}=127.0.0.0/8` })
  expect((await reader.read()).done).toBe(false)
  expect(gateway.logged.filter(({ message }) => /^An export was cut/.test(message))).toEqual([])
  reload({ PLATFORM_NETWORKS: `${platform}=10.9.9.0/24` })
  const rest = async () => {
    while (!(await reader.read()).done);
  }
  await expect(rest()).rejects.toThrow()
  reload()
  const [line] = gateway.logged.filter(({ message }) => /^An export was cut/.test(message))
  expect(line.message).toContain('PLATFORM_NETWORKS')
  const { entries } = (await gateway.get(`/admin/audit?platform=${platform}&action=export_tenant`))
    .body
  expect(entries.map(({ error }: { error: string | null }) => error)).toContain(
    'platform_isolation_violation',
  )
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
