import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { type Answer, startTestGateway, type TestGateway } from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'
import { afterTest, eventually, startProcess } from '../helpers/process.ts'
import { type ReplicationPair, startReplication } from '../helpers/replication.ts'

/** A function that says whether it runs on the replica; `body` comes before. */
function where(name: string, declared: string, body = ''): Files {
  return {
    [`functions/${name}.pssql`]: `
      create or replace function ${name}() returns boolean language plpgsql ${declared}
      as $$ begin ${body} return pg_is_in_recovery(); end $$;`,
  }
}

const FILES: Files = {
  'migrations/001_notes.pssql': `
    create table notes (text text);
    create unlogged table visits (at timestamptz);`,
  ...where('stable', 'stable'),
  ...where('immutable', 'immutable'),
  ...where('volatile', 'volatile'),
  ...where('note', 'volatile', `insert into notes values ('noted');`),
  ...where('note_secretly', 'stable', 'perform note();'),
  ...where('count_visits', 'stable', 'perform count(*) from visits;'),
  ...where('refuse', 'stable', `raise exception 'on replica: %', pg_is_in_recovery();`),
  ...where(
    'slow',
    'stable',
    `perform count(*) from notes;
     if pg_is_in_recovery() then perform pg_sleep(30); end if;`,
  ),
  'functions/count_notes.pssql': `
    create or replace function count_notes() returns bigint language sql stable
    as $$ select count(*) from notes $$;`,
  'functions/leave.pssql': `
    create or replace function leave() returns jsonb language plpgsql stable as $$
    begin
      perform set_config('app.leak', 'x', false), pg_advisory_lock(9);
      return jsonb_build_array(pg_is_in_recovery(), pg_backend_pid());
    end $$;`,
  'functions/left_behind.pssql': `
    create or replace function left_behind() returns text language sql stable as $$
      select concat_ws(' ', pg_is_in_recovery(), nullif(current_setting('app.leak', true), ''),
        (
          select count(*) from pg_locks
          where locktype = 'advisory' and classid <> 1684170615 and pid = pg_backend_pid()
        ))
    $$;`,
  'functions/setting.pssql': `
    create or replace function setting(name text) returns text language sql stable
    as $$ select concat(pg_is_in_recovery(), ' ', current_setting(name, true)) $$;`,
}

let pair: ReplicationPair
beforeAll(async () => {
  pair = await startReplication({ max_standby_streaming_delay: '200ms' })
})
afterAll(() => pair?.end())

/** A gateway with the replica, which is used by now; `urls` are others than that one. */
async function start(settings: Record<string, string> = {}): Promise<TestGateway> {
  const gateway = await startWith({
    DATABASE_READ_URLS: await pair.standby.url('replica'),
    DATABASE_READ_MAX_LAG_SECS: '60',
    ...settings,
  })
  await used(gateway)
  return gateway
}

async function startWith(settings: Record<string, string>): Promise<TestGateway> {
  const DATABASE_URL = await pair.primary.url('gateway')
  return startTestGateway({ DATABASE_URL, ...settings })
}

/** The same, for one test alone. */
async function startForTest(settings: Record<string, string> = {}): Promise<TestGateway> {
  const gateway = await start(settings)
  afterTest(() => gateway.stop())
  await gateway.register('clinic', await pack(FILES))
  await caughtUp()
  return gateway
}

function used(gateway: TestGateway, usable = true): Promise<unknown> {
  return eventually(`usable is ${usable}`, async () => {
    const { replicas } = (await gateway.get('/health')).body
    return replicas.every((replica: { usable: boolean }) => replica.usable === usable)
  })
}

/** Waits until the replica has what the primary has, and until the gateways have seen that. */
async function caughtUp(): Promise<void> {
  const [{ lsn }] = await pair.primary.query('select pg_current_wal_lsn()::text as lsn')
  await eventually('the replica has caught up', async () => {
    const [row] = await pair.standby.query(
      `select pg_last_wal_replay_lsn() >= '${lsn}' as is_there`,
    )
    return row.is_there
  })
  await new Promise((resolve) => setTimeout(resolve, 2500))
}

async function pauseReplay(): Promise<void> {
  await pair.standby.query('select pg_wal_replay_pause()')
  await eventually('the replay is paused', async () => {
    const [{ state }] = await pair.standby.query('select pg_get_wal_replay_pause_state() as state')
    return state === 'paused'
  })
}

async function resumeReplay(): Promise<void> {
  await pair.standby.query('select pg_wal_replay_resume()')
}

/** Whether the function ran on the replica. */
async function ranOnReplica(answer: Promise<Answer>): Promise<boolean> {
  const { status, body } = await answer
  expect({ status, body }).toMatchObject({ status: 200 })
  return Object.values(body.rows[0])[0] as boolean
}

/** Functions that run on the replica just now. */
async function sleepers(): Promise<number> {
  const [{ n }] = await pair.standby.query(
    `select count(*)::integer as n from pg_stat_activity where wait_event = 'PgSleep'`,
  )
  return n
}

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
    const all = await Promise.all(Array.from({ length: 100 }, () => onReplica('stable')))
    expect(all).toEqual(Array(100).fill(true))
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

describe('a replica that is behind', () => {
  test('by more than DATABASE_READ_MAX_LAG_SECS gets no calls until it has caught up', async () => {
    const gateway = await startForTest({ DATABASE_READ_MAX_LAG_SECS: '1' })
    const counted = async () =>
      Number((await gateway.call('clinic', 'count_notes')).body.rows[0].count_notes)
    const before = await counted()
    await pauseReplay()
    afterTest(resumeReplay)
    await gateway.call('clinic', 'note')
    await used(gateway, false)

    expect(await counted()).toBe(before + 1)
    expect(await ranOnReplica(gateway.call('clinic', 'stable'))).toBe(false)
    await eventually('it is told how far it is behind', async () => {
      return (await gateway.get('/health')).body.replicas[0].lag_ms >= 1000
    })
    expect(gateway.logged).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        message: expect.stringMatching(/^Replica .* gets no calls: it is \d+ s behind$/),
      }),
    )

    await resumeReplay()
    await used(gateway)
    expect(await ranOnReplica(gateway.call('clinic', 'stable'))).toBe(true)
    expect(await counted()).toBe(before + 1)
  })

  test('is not, however long it is since the primary has written anything', async () => {
    const gateway = await startForTest({ DATABASE_READ_MAX_LAG_SECS: '1' })
    await pauseReplay()
    afterTest(resumeReplay)
    for (let i = 0; i < 20; i++) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      // What PostgreSQL writes by itself, such as by a checkpoint, would be lag.
      const [{ is_equal }] = await pair.primary.query(
        'select bool_and(replay_lsn = pg_current_wal_lsn()) as is_equal from pg_stat_replication',
      )
      if (is_equal) expect((await gateway.get('/health')).body.replicas[0].usable).toBe(true)
    }
  })

  test('is current at the beginning of a WAL segment, too', async () => {
    const gateway = await startForTest({ DATABASE_READ_MAX_LAG_SECS: '1' })
    await pair.primary.query('select pg_switch_wal()')
    for (let i = 0; i < 20; i++) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      const [{ is_there }] = await pair.primary.query(
        `select bool_and(replay_lsn >= pg_current_wal_lsn()) as is_there
         from pg_stat_replication`,
      )
      if (i > 5 && is_there) {
        expect((await gateway.get('/health')).body.replicas[0].usable).toBe(true)
      }
    }
  })

  test('is not current before it has what was committed asynchronously', async () => {
    await pair.primary.query(`alter system set wal_writer_delay = '4s'`)
    await pair.primary.query('select pg_reload_conf()')
    afterTest(async () => {
      await pair.primary.query('alter system reset wal_writer_delay')
      await pair.primary.query('select pg_reload_conf()')
    })
    const gateway = await startForTest()
    const { replicas } = gateway.gateway
    for (let i = 0; i < 2; i++) {
      const text = `async ${i}`
      await pair.primary.query(
        `set synchronous_commit = off; insert into notes values ('${text}')`,
        'clinic_main',
      )
      replicas!.catchUp('clinic_main')
      await eventually('it is used again', () => replicas!.pick('clinic_main') !== undefined)
      const rows = await pair.standby.query(
        `select from notes where text = '${text}'`,
        'clinic_main',
      )
      expect(rows).toHaveLength(1)
    }
  })

  test('gets no calls of a database that was deployed to, until it has the deploy', async () => {
    const gateway = await startForTest()
    await pauseReplay()
    afterTest(resumeReplay)

    const changed = { ...FILES, ...where('stable', 'stable', 'perform 1;') }
    expect((await gateway.register('clinic', await pack(changed))).status).toBe(200)
    expect(await ranOnReplica(gateway.call('clinic', 'stable'))).toBe(false)
    expect((await gateway.register('later', await pack(FILES))).status).toBe(200)
    expect(await ranOnReplica(gateway.call('later', 'stable'))).toBe(false)

    await resumeReplay()
    for (const platform of ['clinic', 'later']) {
      await eventually('it runs on the replica', () =>
        ranOnReplica(gateway.call(platform, 'stable')),
      )
    }
  })

  test('may lack a function or a database that is on the primary: that runs it', async () => {
    const gateway = await startForTest()
    const other = await startForTest()
    await pauseReplay()
    afterTest(resumeReplay)
    await pair.primary.query(
      `create function made_by_hand() returns boolean language sql stable
       as $$ select pg_is_in_recovery() $$`,
      'clinic_main',
    )
    expect(await ranOnReplica(gateway.call('clinic', 'made_by_hand'))).toBe(false)
    await other.register('elsewhere', await pack(FILES))
    expect(await ranOnReplica(gateway.call('elsewhere', 'stable'))).toBe(false)

    await resumeReplay()
    await eventually('it runs on the replica', () =>
      ranOnReplica(gateway.call('clinic', 'made_by_hand')),
    )
  })

  test('a function that was dropped and made anew is never missed', async () => {
    const gateway = await startForTest()
    const make = (answer: string) =>
      pair.primary.query(
        `drop function if exists anew();
         create function anew() returns text language sql stable as $$ select '${answer}' $$`,
        'clinic_main',
      )
    await make('old')
    const answers = new Set<string>()
    const ask = async () => {
      const { status, body } = await gateway.call('clinic', 'anew')
      expect(status).toBe(200)
      answers.add(body.rows[0].anew)
      return body.rows[0].anew
    }
    await ask()
    await make('new')
    await eventually('it is the new one', async () => (await ask()) === 'new')
    expect([...answers]).toEqual(['old', 'new'])
  })
})

describe('when the replica stops', () => {
  test('no call fails, and when it is back it is used again', async () => {
    const gateway = await startForTest()
    // It finds out that functions were made by hand, and uses no replica until that has them.
    await gateway.call('clinic', 'stable')
    await eventually(
      'it is known',
      async () => !gateway.gateway.calls.functions.isDue('clinic_main'),
    )
    // What it has read then may be written down after that, and the sessions be renewed.
    await sleep(2000)
    await eventually('the replica is used', () => ranOnReplica(gateway.call('clinic', 'stable')))
    const seen: boolean[] = []
    let isOver = false
    const load = Array.from({ length: 10 }, async () => {
      while (!isOver) seen.push(await ranOnReplica(gateway.call('clinic', 'stable')))
    })
    const settled = Promise.all(load)
    await eventually('the load has begun', () => seen.length > 100)
    // One that waits for longer behind another runs elsewhere: on a busy machine some do.
    expect(seen.filter((isOnReplica) => isOnReplica).length).toBeGreaterThan(seen.length / 2)

    await pair.standby.stop()
    await used(gateway, false)
    seen.length = 0
    await eventually('calls go on', () => seen.length > 100)
    expect(seen).not.toContain(true)
    expect((await gateway.get('/health')).body.replicas[0].lag_ms).toBeNull()
    // Calls find out before the gateway asks it, which is when that is told.
    await eventually('it is told', () =>
      gateway.logged.some(
        ({ level, message }) => level === 'warn' && message.startsWith('Replica '),
      ),
    )

    await pair.standby.start()
    await used(gateway)
    seen.length = 0
    await eventually('the replica is used', () => seen.includes(true))
    isOver = true
    await settled

    const told = gateway.logged.filter(({ message }) => message.startsWith('Replica '))
    expect(told.map(({ level }) => level)).toEqual(['info', 'warn', 'info'])
    expect(told[1].message).toMatch(/gets no calls: it does not answer \(.+\)$/)
    const { password } = gateway.gateway.config.readServers[0]!
    expect(JSON.stringify(gateway.logged)).not.toContain(password)
  })

  test('the gateway starts without it', async () => {
    await pair.standby.stop()
    const gateway = await startWith({ DATABASE_READ_URLS: await pair.standby.url('replica') })
    afterTest(() => gateway.stop())
    await gateway.register('clinic', await pack(FILES))
    expect(await ranOnReplica(gateway.call('clinic', 'stable'))).toBe(false)

    await pair.standby.start()
    await used(gateway)
    expect(await ranOnReplica(gateway.call('clinic', 'stable'))).toBe(true)
  })
})

describe('when the primary stops', () => {
  test('what only reads goes on, as long as the replica is known to be current', async () => {
    const gateway = await startForTest({ DATABASE_READ_MAX_LAG_SECS: '4' })
    expect(await ranOnReplica(gateway.call('clinic', 'stable'))).toBe(true)
    await pair.primary.stop()
    expect(await ranOnReplica(gateway.call('clinic', 'stable'))).toBe(true)
    await used(gateway, false)
    expect(await gateway.call('clinic', 'stable')).toMatchObject({
      status: 503,
      body: { error: 'connection_failed' },
    })

    await pair.primary.start()
    await used(gateway)
    expect(await ranOnReplica(gateway.call('clinic', 'stable'))).toBe(true)
  })
})

describe('when the gateway stops', () => {
  test('it leaves no connection on the replica', async () => {
    const gateway = await start({ DATABASE_READ_URLS: await pair.standby.url('leaving') })
    await gateway.register('clinic', await pack(FILES))
    await gateway.call('clinic', 'stable')
    await gateway.stop()
    await eventually('they are gone', async () => {
      const rows = await pair.standby.query(
        `select from pg_stat_activity where application_name = 'leaving'`,
      )
      return rows.length === 0
    })
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

// The last: there is no replica any more.
describe('a replica that is promoted', () => {
  test('gets no calls', async () => {
    const gateway = await startForTest()
    expect(await ranOnReplica(gateway.call('clinic', 'stable'))).toBe(true)
    await pair.standby.query('select pg_promote()')
    await used(gateway, false)
    await pair.standby.query(
      `create or replace function stable() returns boolean language sql stable
      as $$ select true $$`,
      'clinic_main',
    )
    expect(await ranOnReplica(gateway.call('clinic', 'stable'))).toBe(false)
    const told = gateway.logged.filter(({ message }) => message.startsWith('Replica '))
    expect(told.map(({ level }) => level)).toEqual(['info', 'warn'])
  })
})

describe('a replica on another timeline than the primary', () => {
  test('gets no calls, however much it has replayed', async () => {
    const servers = await startReplication()
    afterTest(() => servers.end())
    const { primary, standby } = servers
    await standby.query('select pg_promote()')
    await eventually('it is promoted', async () => {
      const [row] = await standby.query('select not pg_is_in_recovery() as is_primary')
      return row.is_primary
    })
    // What is only here: it is further than the new primary.
    await primary.query('create table lost as select i from generate_series(1, 100000) i')
    await primary.stop()
    await primary.demote()
    await primary.start()

    const gateway = await startTestGateway({
      DATABASE_URL: await standby.url('gateway'),
      DATABASE_READ_URLS: await primary.url('replica'),
      DATABASE_READ_MAX_LAG_SECS: '60',
    })
    afterTest(() => gateway.stop())
    const line = await eventually('the log tells of it', () =>
      gateway.logged.find(({ message }) => message.startsWith('Replica ')),
    )
    expect(line.message).toMatch(/gets no calls: it is on timeline 1, and the primary is on 2$/)
    expect((await gateway.get('/health')).body.replicas[0].usable).toBe(false)
  })
})
