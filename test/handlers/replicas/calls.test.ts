import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { afterTest } from '../../helpers/after-test.ts'
import type { TestGateway } from '../../helpers/gateway.ts'
import { pack } from '../../helpers/platforms.ts'
import { eventually, startProcess } from '../../helpers/process.ts'

import {
  caughtUp,
  FILES,
  pair,
  ranOnReplica,
  setUp,
  sleepers,
  start,
  startForTest,
  startWith,
  used,
} from './setup.ts'

setUp()

describe('with DATABASE_READ_URLS', () => {
  let gateway: TestGateway
  beforeAll(async () => {
    gateway = await start()
    await gateway.register('clinic', await pack(FILES))
    await caughtUp()
  })
  afterAll(() => gateway?.stop())

  const call = (name: string, more: object = {}) =>
    gateway.post('/call', { platform: 'clinic', function: name, ...more })
  const onReplica = (name: string, more?: object) => ranOnReplica(call(name, more))

  test.each(['stable', 'immutable'])('a function that is %s runs on the replica', async (name) => {
    expect(await onReplica(name)).toBe(true)
  })

  test('nothing of a call is left for the next one, on the replica either', async () => {
    const gateway = await startForTest({ MAX_CONNECTIONS_PER_POOL: '2' })
    const pids = new Set<number>()
    for (let i = 0; i < 10; i++) {
      const [isReplica, pid] = (await gateway.call('clinic', 'leave')).body.rows[0].leave
      expect(isReplica).toBe(true)
      pids.add(pid)
      const { body } = await gateway.call('clinic', 'left_behind')
      expect(body.rows).toEqual([{ left_behind: 't 0' }])
    }
    // A session that could not be reset would have been closed.
    expect(pids.size).toBeLessThanOrEqual(2)
  })

  test('so do many calls at once, which share connections', async () => {
    for (let i = 0; i < 10; i++) await onReplica('stable')
    // On a busy machine the replica may fall behind for a moment, and calls run on the primary.
    await eventually('all of them run on the replica', async () => {
      const all = await Promise.all(Array.from({ length: 100 }, () => onReplica('stable')))
      return all.every((isReplica) => isReplica)
    })
  })

  test('so does a GET', async () => {
    expect(await ranOnReplica(gateway.get('/call/clinic/stable'))).toBe(true)
  })

  test('so does a call with settings', async () => {
    const session = { 'app.user_id': 7 }
    const { body } = await call('setting', { params: ['app.user_id'], session })
    expect(body.rows).toEqual([{ setting: 't 7' }])
    const next = await call('setting', { params: ['app.user_id'] })
    expect(next.body.rows).toEqual([{ setting: 't ' }])
  })

  test('a function that is volatile runs on the primary', async () => {
    expect(await onReplica('volatile')).toBe(false)
    expect(await onReplica('note')).toBe(false)
  })

  test('"primary": true is a call of the primary', async () => {
    expect(await onReplica('stable', { primary: true })).toBe(false)
    expect(await onReplica('stable', { primary: false })).toBe(true)
    expect(await onReplica('stable', { primary: null })).toBe(true)
  })

  test('"primary" is true or false', async () => {
    expect(await call('stable', { primary: 'yes' })).toMatchObject({
      status: 400,
      body: { error: 'invalid_request', message: 'primary must be true or false' },
    })
  })

  test('what the function raises is the answer', async () => {
    expect(await call('refuse')).toMatchObject({
      status: 400,
      body: { error: 'query_failed', message: 'on replica: t', sqlstate: 'P0001' },
    })
  })

  test('a function or parameters that do not exist are 404, as ever', async () => {
    expect(await call('nothing')).toMatchObject({
      status: 404,
      body: { error: 'function_not_found' },
    })
    expect(await call('stable', { params: [1] })).toMatchObject({
      status: 404,
      body: { error: 'function_not_found' },
    })
  })

  test('a function that is STABLE, and writes all the same, does so on the primary', async () => {
    for (const n of [1, 2]) {
      await pair.primary.query('truncate notes', 'clinic_main')
      for (let i = 0; i < n; i++) expect(await onReplica('note_secretly')).toBe(false)
      const [{ count }] = await pair.primary.query('select count(*) from notes', 'clinic_main')
      expect(Number(count)).toBe(n)
    }
  })

  test('a function that reads an unlogged table does so on the primary', async () => {
    expect(await onReplica('count_visits')).toBe(false)
  })

  test('a call that is in the way of what is being replayed runs again on the primary', async () => {
    const answer = onReplica('slow')
    await eventually('it runs on the replica', async () => (await sleepers()) === 1)
    await pair.primary.query('alter table notes add column more text', 'clinic_main')
    expect(await answer).toBe(false)
  })

  test('a call that runs when its connection is lost runs again on the primary', async () => {
    const answer = onReplica('slow')
    await eventually('it runs on the replica', async () => (await sleepers()) === 1)
    await pair.standby.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'`,
    )
    expect(await answer).toBe(false)
    await used(gateway)
  })

  test('a call whose time is up is not begun anew on the primary', async () => {
    expect(await call('slow', { timeout_ms: 300 })).toMatchObject({
      status: 504,
      body: {
        error: 'query_timeout',
        message: 'The function was cancelled after 300 ms (timeout_ms)',
      },
    })
    await eventually('it is cancelled', async () => (await sleepers()) === 0)
  })

  test('a call whose client goes away is cancelled on the replica', async () => {
    const aborter = new AbortController()
    const gone = fetch(`${gateway.url}/call`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ platform: 'clinic', function: 'slow' }),
      signal: aborter.signal,
    }).catch(() => 'gone')
    await eventually('it runs on the replica', async () => (await sleepers()) === 1)
    aborter.abort()
    expect(await gone).toBe('gone')
    await eventually('it is cancelled', async () => (await sleepers()) === 0)
  })

  test('the replica itself refuses whatever writes', async () => {
    const refused = pair.standby.query(`insert into notes values ('no')`, 'clinic_main')
    await expect(refused).rejects.toMatchObject({ code: '25006' })
  })

  test('/health tells of each replica, but not to a stranger', async () => {
    const { body } = await gateway.get('/health')
    expect(body).toMatchObject({
      status: 'healthy',
      replicas: [
        { server: `${pair.standby.socketFolder}:5432`, usable: true, lag_ms: expect.any(Number) },
      ],
    })
    const strange = await startForTest({ TRUSTED_PROXIES: '127.0.0.0/8' })
    const answer = await strange.get('/health', { 'x-forwarded-for': '203.0.113.9' })
    expect(answer.body).toEqual({ status: 'healthy' })
  })

  test('several take turns', async () => {
    const urls = [await pair.standby.url('first'), await pair.standby.url('second')]
    const both = await startForTest({ DATABASE_READ_URLS: urls.join(', ') })
    const names = new Set<string>()
    for (let i = 0; i < 10; i++) {
      const { body } = await both.call('clinic', 'setting', ['application_name'])
      names.add(body.rows[0].setting)
    }
    expect([...names].sort()).toEqual(['t first', 't second'])
  })
})

describe('a server that is no replica of DATABASE_URL gets no calls', () => {
  /** What the log says of it. */
  async function warningOf(url: string): Promise<string> {
    const gateway = await startWith({ DATABASE_READ_URLS: url })
    afterTest(() => gateway.stop())
    await gateway.register('clinic', await pack(FILES))
    const line = await eventually('a warning', () =>
      gateway.logged.find(({ message }) => message.startsWith('Replica ')),
    )
    expect(await ranOnReplica(gateway.call('clinic', 'stable'))).toBe(false)
    expect(line.level).toBe('warn')
    return line.message
  }

  test('the primary itself', async () => {
    expect(await warningOf(await pair.primary.url('replica'))).toContain('not in recovery')
  })

  test('another server', async () => {
    expect(await warningOf(inject('databaseUrl'))).toContain('another server')
  })

  test('one that refuses the password', async () => {
    const url = (await pair.standby.url('replica')).replace(/gateway:[^@]*@/, 'gateway:wrong@')
    expect(await warningOf(url)).toContain('password authentication failed')
  })
})

describe('DATABASE_READ_URLS that are wrong stop the start with one line', () => {
  const url = 'postgres://gateway:hidden@127.0.0.1:1/gateway'
  test.each([
    ['nonsense', 'number 1 is not a postgres://user:password@host:port/database URI'],
    [`${url},nonsense`, 'number 1 has a comma behind which no URI follows'],
    [`${url}, ${url}?ssl=1`, 'number 2 has an unknown parameter "ssl"'],
    [url.replace('hidden', 'hid/den'), 'number 1 has an "@" behind the host'],
    [url.replace('hidden', 'hid?den'), 'number 1 has an unknown parameter'],
  ])('%s', async (urls, message) => {
    const gateway = await startProcess({ DATABASE_URL: url, DATABASE_READ_URLS: urls })
    expect(await gateway.exit).toEqual({ code: 1, signal: null })
    expect(gateway.entries()).toEqual([
      {
        time: expect.any(String),
        level: 'error',
        message: expect.stringContaining(`DATABASE_READ_URLS: ${message}`),
      },
    ])
    expect(gateway.output()).not.toMatch(/hid|den/)
  })

  test('without DATABASE_URL', async () => {
    const gateway = await startProcess({ DATABASE_READ_URLS: url })
    expect(await gateway.exit).toEqual({ code: 1, signal: null })
    expect(gateway.entries()).toMatchObject([
      { message: 'DATABASE_READ_URLS: needs DATABASE_URL, whose replicas they are' },
    ])
  })
})
