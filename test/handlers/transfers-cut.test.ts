import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { afterTest } from '../helpers/after-test.ts'
import { exportTenant, findTools, importTenant, makeNoise } from '../helpers/dumps.ts'
import { startTwoGateways } from '../helpers/for-file.ts'
import {
  connectTo,
  dropDatabase,
  type Json,
  queryDatabase,
  sessionsRunning,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { eventually, startProcess } from '../helpers/process.ts'

// Exports and imports that do not come to their end.

const { url, gateway, other, query } = await startTwoGateways(
  {},
  { REQUEST_TIMEOUT_SECS: '1', LOCK_TIMEOUT_SECS: '1', STATEMENT_TIMEOUT_SECS: '1' },
)

const platform = uniqueName('p')
const tenant = { platform, tenant_id: 't' }
const copy = { platform, tenant_id: 'copy' }
let hasTools: boolean
/** Of a small tenant. */
let dump: Uint8Array<ArrayBuffer>
beforeAll(async () => {
  hasTools = (await findTools()) !== undefined
  const archive = await pack(textFunction('ping', 'pong'))
  await gateway.register(platform, archive, 't')
  if (!hasTools) return
  await makeNoise(`${platform}_t`, 'small', 4)
  dump = new Uint8Array(await (await exportTenant(gateway, tenant)).arrayBuffer())
  // More than what fits between pg_dump and a client that does not read.
  await makeNoise(`${platform}_t`, 'big', 400)
})

/** Sessions of pg_dump, which reads a table. */
const dumping = async (): Promise<number[]> =>
  (
    await query(`select pid from pg_stat_activity
      where datname = '${platform}_t' and state = 'active' and query like 'COPY %'`)
  ).map((row: Json) => row.pid)
const held = () => gateway.gateway.pools.report().permits.held
const latest = async (): Promise<Json> =>
  (await gateway.get(`/admin/audit?platform=${platform}&limit=1`)).body.entries[0]

/** A body that begins with two thirds of the dump; the rest is sent by `end`. */
function stalled(pauseMs = 0): { body: ReadableStream; end: () => void } {
  let end = () => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  const third = Math.floor(dump.length / 3)
  const pieces = [dump.slice(0, third), dump.slice(third, 2 * third), dump.slice(2 * third)]
  const body = new ReadableStream({
    async pull(controller) {
      const piece = pieces.shift()
      if (pieces.length === 0) await ended
      if (piece) controller.enqueue(piece)
      else controller.close()
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    },
  })
  return { body, end }
}

/** Whether there is a database that is being made. */
const isBegun = async (): Promise<boolean> =>
  (
    await query(
      `select from _db_gateway_creations where database = '${platform}_copy' and is_import`,
    )
  ).length > 0
const isGone = async (): Promise<boolean> =>
  (await query(`select from pg_database where datname = '${platform}_copy'`)).length === 0 &&
  !(await isBegun())

describe('an export', () => {
  test('whose pg_dump is ended is cut, holds a permit, and shows no password', async () => {
    if (!hasTools) return expectNotAvailable()
    const before = held()
    const { body, status } = await exportTenant(gateway, tenant)
    expect(status).toBe(200)
    const [pid] = await eventually('pg_dump runs', async () => {
      const pids = await dumping()
      return pids.length > 0 && pids
    })
    expect(held()).toBeGreaterThan(before)
    const { stdout } = await promisify(execFile)('ps', ['-eo', 'args'])
    expect(stdout).toMatch(/pg_dump .*--lock-wait-timeout/)
    expect(stdout).not.toContain(gateway.gateway.secrets.current.passwordOf(`gw_${platform}`))
    await query(`select pg_terminate_backend(${pid})`)
    await expect(drain(body!)).rejects.toThrow()
    await eventually('it is audited', async () => (await latest()).error === 'dump_failed')
    const cut = gateway.logged.find((line) => /^An export was cut/.test(line.message))
    expect(cut.cause).toContain('contents of table "big" failed')
  })

  test('is cut by a reset for a client of HTTP/1.0, which takes a plain end for the end', async () => {
    if (!hasTools) return expectNotAvailable()
    const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1')
    const path = `/admin/export?${new URLSearchParams(tenant)}`
    socket.write(`GET ${path} HTTP/1.0\r\nhost: 127.0.0.1\r\n\r\n`)
    await once(socket, 'readable')
    const [pid] = await eventually('pg_dump runs', async () => {
      const pids = await dumping()
      return pids.length > 0 && pids
    })
    await query(`select pg_terminate_backend(${pid})`)
    socket.resume()
    const [error] = await once(socket, 'error')
    expect(error.code).toBe('ECONNRESET')
  })

  test('that does not get the lock of a table is 503, and names who has it', async () => {
    if (!hasTools) return expectNotAvailable()
    const holder = connectTo(`${platform}_t`)
    await holder.unsafe('begin; lock table big')
    const answer = await exportTenant(other, tenant)
    expect([answer.status, await answer.json()]).toEqual([
      503,
      expect.objectContaining({
        error: 'database_in_use',
        sessions: [expect.objectContaining({ pid: expect.any(Number) })],
      }),
    ])
    await holder.end()
  })

  test('whose tenant is dropped meanwhile says so', async () => {
    if (!hasTools) return expectNotAvailable()
    const going = { platform, tenant_id: 'going' }
    const database = `${platform}_going`
    await gateway.register(platform, await pack(textFunction('ping', 'pong')), 'going')
    await queryDatabase(database, 'create table held ()')
    const holder = connectTo(database)
    await holder.unsafe('begin; lock table held')
    const exporting = exportTenant(gateway, going)
    await eventually('pg_dump waits', async () => (await sessionsRunning(database, 'LOCK')) === 1)
    // The drop ends the sessions that still work.
    const drop = { ...going, confirm: database, dump: false }
    expect((await other.post('/admin/drop-tenant', drop)).status).toBe(200)
    const answer = await exporting
    expect([
      [404, 'database_not_found'],
      [409, 'tenant_busy'],
    ]).toContainEqual([answer.status, ((await answer.json()) as Json).error])
    expect((await exportTenant(gateway, going)).status).toBe(404)
    await holder.end()
  })

  test('whose tenant is gone when pg_dump fails is 404', async () => {
    if (!hasTools) return expectNotAvailable()
    const gone = { platform, tenant_id: 'gone' }
    const database = `${platform}_gone`
    await gateway.register(platform, await pack(textFunction('ping', 'pong')), 'gone')
    await queryDatabase(database, 'create table held ()')
    const holder = connectTo(database)
    await holder.unsafe('begin; lock table held')
    const exporting = exportTenant(gateway, gone)
    await eventually('pg_dump waits', async () => (await sessionsRunning(database, 'LOCK')) === 1)
    await query(`delete from _db_gateway_databases where database = '${database}'`)
    await query(`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = '${database}' and wait_event_type = 'Lock'`)
    const answer = await exporting
    const { error } = (await answer.json()) as Json
    expect([answer.status, error]).toEqual([404, 'database_not_found'])
    await holder.end()
    await dropDatabase(database)
  })

  test('whose client leaves ends pg_dump', async () => {
    if (!hasTools) return expectNotAvailable()
    const abort = new AbortController()
    await exportTenant(gateway, tenant, { signal: abort.signal })
    await eventually('pg_dump runs', async () => (await dumping()).length > 0)
    abort.abort()
    await eventually('it has ended', async () => (await dumping()).length === 0)
    await eventually('it is audited', async () => (await latest()).error === 'query_timeout')
  })
})

describe('an import', () => {
  test('that takes longer than REQUEST_TIMEOUT_SECS ends, where its body goes on', async () => {
    if (!hasTools) return expectNotAvailable()
    const { body, end } = stalled(700)
    setTimeout(end, 500)
    const started = performance.now()
    const answer = await importTenant(other, copy, body)
    expect([answer.status, answer.body.status]).toEqual([201, 'imported'])
    expect(performance.now() - started).toBeGreaterThan(1000)
    const drop = { ...copy, confirm: `${platform}_copy`, dump: false }
    expect((await gateway.post('/admin/drop-tenant', drop)).status).toBe(200)
  })

  test('that is refused before its body ends is answered at once', async () => {
    if (!hasTools) return expectNotAvailable()
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode('no dump'.repeat(100))),
    })
    const answer = await importTenant(other, copy, body)
    expect([answer.status, answer.body.error]).toEqual([400, 'invalid_request'])
    // REQUEST_TIMEOUT_SECS passes; an exception would end the process.
    await new Promise((resolve) => setTimeout(resolve, 1100))
    expect((await other.get('/live')).status).toBe(200)
  })

  test('whose body stops is 408, and leaves nothing', async () => {
    if (!hasTools) return expectNotAvailable()
    const { status, body } = await importTenant(other, copy, stalled().body)
    expect([status, body.message]).toEqual([408, expect.stringContaining('REQUEST_TIMEOUT_SECS')])
    expect(await isGone()).toBe(true)
  })

  test('whose client leaves drops its database, which nobody could call', async () => {
    if (!hasTools) return expectNotAvailable()
    const abort = new AbortController()
    const sent = importTenant(gateway, copy, stalled().body, { signal: abort.signal })
    sent.catch(() => {})
    await eventually('it has begun', isBegun)
    expect((await gateway.call(platform, 'ping', [], 'copy')).status).toBe(404)
    abort.abort()
    await eventually('it is dropped', isGone)
    await expect(sent).rejects.toThrow()
  })

  test('whose gateway is killed when it has created the database is made by the next one', async () => {
    if (!hasTools) return expectNotAvailable()
    const holder = connectTo(parseDatabaseUrl(url).database)
    afterTest(() => holder.end())
    // What is recorded of the created database waits.
    await holder.unsafe(`
      create function wait() returns trigger language plpgsql
        as $$ begin perform pg_advisory_lock(7); return new; end $$;
      create trigger wait before insert on _db_gateway_creations
        for each row when (new.oid <> 0) execute function wait();
      select pg_advisory_lock(7)`)
    const killed = await startProcess({ DATABASE_URL: url, GATEWAY_PORT: '0' })
    const sent = importTenant({ url: await killed.url() }, copy, dump).catch(() => 'cut')
    const [{ pid }] = await eventually('it waits', async () => {
      const rows = await query(`select pid from pg_stat_activity
        where datname = current_database() and wait_event = 'advisory' and query like '%_creations%'`)
      return rows.length > 0 && rows
    })
    killed.kill('SIGKILL')
    expect(await sent).toBe('cut')
    await query(`select pg_terminate_backend(${pid})`)
    await holder.unsafe('drop function wait cascade')
    const { status } = await importTenant(other, copy, dump)
    expect(status).toBe(201)
    await gateway.post('/admin/drop-tenant', {
      ...copy,
      confirm: `${platform}_copy`,
      dump: false,
    })
  })

  test('and an export leave no pg_restore and no pg_dump when their gateway is killed', async () => {
    if (!hasTools) return expectNotAvailable()
    const killed = await startProcess({ DATABASE_URL: url, GATEWAY_PORT: '0' })
    const at = { url: await killed.url() }
    // Nobody reads the export, and the import waits for the rest of its body.
    expect((await exportTenant(at, tenant)).status).toBe(200)
    const sent = importTenant(at, copy, stalled().body).catch(() => 'cut')
    const restoring = async () =>
      (await query(`select from pg_stat_activity where datname = '${platform}_copy'`)).length
    await eventually('both run', async () => {
      return (await dumping()).length > 0 && (await restoring()) > 0
    })
    killed.kill('SIGKILL')
    expect(await sent).toBe('cut')
    await eventually('both have ended', async () => {
      return (await dumping()).length === 0 && (await restoring()) === 0
    })
    expect((await importTenant(gateway, copy, dump)).status).toBe(201)
    const drop = { ...copy, confirm: `${platform}_copy`, dump: false }
    expect((await gateway.post('/admin/drop-tenant', drop)).status).toBe(200)
  })

  test('is given up when its gateway has half of its time to stop, and its database dropped', async () => {
    if (!hasTools) return expectNotAvailable()
    const third = await startTestGateway({ DATABASE_URL: url, SHUTDOWN_TIMEOUT_SECS: '3' })
    const sent = importTenant(third, copy, stalled().body)
    await eventually('it has begun', isBegun)
    const stopped = third.stop()
    const { status, body } = await sent
    expect([status, body.error]).toEqual([503, 'connection_failed'])
    expect(body.message).toBe('The gateway is stopping')
    await stopped
    expect(await isGone()).toBe(true)
  })
})

/** Reads a body to its end. */
async function drain(body: ReadableStream<Uint8Array>): Promise<void> {
  for await (const _ of body);
}

async function expectNotAvailable(on: TestGateway = other): Promise<void> {
  expect((await exportTenant(on, tenant)).status).toBe(501)
  expect((await importTenant(on, copy, 'x')).status).toBe(501)
}
