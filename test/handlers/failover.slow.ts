import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { afterTest } from '../helpers/after-test.ts'
import { type Json, startTestGateway, type TestGateway } from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'
import {
  type ReplicationPair,
  type ReplicationServer,
  startReplication,
  urlOfHosts,
} from '../helpers/replication.ts'

const FILES: Files = {
  'migrations/001_notes.pssql': 'create table notes (id integer);',
  'functions/note.pssql': `
    create or replace function note(id integer) returns integer language sql
    as $$ insert into notes values (id) returning id $$;`,
  'functions/notes.pssql': `
    create or replace function notes() returns bigint language sql
    as $$ select count(*) from notes $$;`,
  'functions/where_from.pssql': `
    create or replace function where_from() returns text language sql stable as $$
      select case when pg_is_in_recovery() then 'standby ' else 'primary ' end || count(*)
      from notes $$;`,
  'functions/note_and_commit.pssql': `
    create or replace procedure note_and_commit(inout id integer) language plpgsql as $$
    begin insert into notes values (id); commit; end $$;`,
  'functions/nap.pssql': `
    create or replace function nap() returns void language sql as $$
      -- One that writes, which is not run again on another server.
      insert into notes values (0); select pg_sleep(60) $$;`,
}
const DATABASE = 'clinic_main'

let pair: ReplicationPair
beforeEach(async () => {
  pair = await startReplication()
})
afterEach(() => pair?.end())

/** A gateway that knows both servers, in this order, with a platform. */
async function start(
  servers: ReplicationServer[] = [pair.primary, pair.standby],
  query = '',
  settings: Record<string, string> = {},
): Promise<TestGateway> {
  const gateway = await startTestGateway({
    ...settings,
    DATABASE_URL: (await urlOfHosts(servers, 'failover')) + query,
  })
  afterTest(() => gateway.stop())
  const { status, body } = await gateway.register('clinic', await pack(FILES))
  expect({ status, body }).toMatchObject({ status: 200 })
  return gateway
}

const promote = (server: ReplicationServer) => server.query('select pg_promote()')

/** The standby has everything that is committed: a commit waits for it. */
async function replicateSynchronously(): Promise<void> {
  await pair.primary.query(`alter system set synchronous_standby_names = '*'`)
  await pair.primary.query('select pg_reload_conf()')
  await eventually('the standby is synchronous', async () => {
    const [row] = await pair.primary.query('select sync_state from pg_stat_replication')
    return row?.sync_state === 'sync'
  })
}

async function caughtUp(): Promise<void> {
  const [{ lsn }] = await pair.primary.query('select pg_current_wal_lsn()::text as lsn')
  await eventually('the standby has everything', async () => {
    const [row] = await pair.standby.query(`select pg_last_wal_replay_lsn() >= '${lsn}' as has`)
    return row.has
  })
}

function sessions(server: ReplicationServer): Promise<number> {
  return server
    .query(
      `select count(*)::integer as n from pg_stat_activity where application_name = 'failover'`,
    )
    .then(([row]) => row.n)
}

async function idsOf(server: ReplicationServer): Promise<number[]> {
  return (await server.query('select id from notes order by id', DATABASE)).map((row) => row.id)
}

/** Writes with unique numbers, again and again, until it is told to stop. */
function writeTo(gateway: TestGateway, writers: number) {
  const answered = new Map<number, { status: number; body: unknown; at: number }>()
  const failed: unknown[] = []
  let next = 0
  let isOver = false
  const writer = async () => {
    while (!isOver) {
      const id = next++
      try {
        const { status, body } = await gateway.call('clinic', 'note', [id])
        answered.set(id, { status, body, at: performance.now() })
        if (status !== 200) await sleep(20)
      } catch (error) {
        failed.push(error)
      }
    }
  }
  const running = Promise.all(Array.from({ length: writers }, writer))
  const acknowledged = () => [...answered].filter(([, { status }]) => status === 200)
  return {
    answered,
    failed,
    acknowledged: () => acknowledged().map(([id]) => id),
    since: (at: number) => acknowledged().filter(([, one]) => one.at > at).length,
    stop: () => {
      isOver = true
      return running
    },
  }
}

describe('a primary that crashes under load, while its standby is promoted', () => {
  test('is followed within seconds, and nothing that was acknowledged is lost', async () => {
    const gateway = await start()
    await replicateSynchronously()
    const load = writeTo(gateway, 8)
    await eventually('writes go through', () => load.since(0) > 500)

    await pair.primary.crash()
    await sleep(1000)
    const promotedAt = performance.now()
    await promote(pair.standby)
    await eventually('writes go through again', () => load.since(promotedAt) > 0)
    const secondsAway = (performance.now() - promotedAt) / 1000
    await eventually('all is well', () => load.since(promotedAt) > 500)
    await load.stop()

    expect(load.failed).toEqual([])
    expect(secondsAway).toBeLessThan(10)
    const wrong = [...load.answered].filter(
      ([id, { status, body }]) => status === 200 && (body as Json).rows[0].note !== id,
    )
    expect(wrong).toEqual([])
    const others = [...load.answered.values()].filter(({ status }) => status !== 200)
    for (const { status, body } of others) {
      expect({ status, body }).toMatchObject({ status: 503, body: { error: 'connection_failed' } })
    }
    const written = await idsOf(pair.standby)
    expect(new Set(written).size, 'no write is done twice').toBe(written.length)
    expect(written).toEqual(expect.arrayContaining(load.acknowledged()))
    console.info(
      `${load.acknowledged().length} answered 200, ${others.length} answered 503, ${load.failed.length} lost, ${wrong.length} wrong; ${secondsAway.toFixed(1)} s`,
    )
  })
})

describe('after a failover', () => {
  let gateway: TestGateway
  beforeEach(async () => {
    gateway = await start()
    await gateway.call('clinic', 'note', [1])
    await caughtUp()
  })

  const followed = () =>
    eventually('a call succeeds', async () => {
      return (await gateway.call('clinic', 'notes')).status === 200
    })

  test('an old primary that comes back as a standby gets no sessions', async () => {
    await pair.primary.stop()
    await promote(pair.standby)
    await followed()
    await pair.primary.demote(pair.standby)
    await pair.primary.start()

    for (let id = 2; id < 20; id++) {
      expect((await gateway.call('clinic', 'note', [id])).status).toBe(200)
    }

    expect(await idsOf(pair.standby)).toHaveLength(19)
    expect(await sessions(pair.primary)).toBe(0)
  })

  test('an old primary that comes back as a primary gets no sessions, not of a new gateway either', async () => {
    await pair.primary.stop()
    await promote(pair.standby)
    await followed()
    await pair.primary.start()

    const other = await startTestGateway({
      DATABASE_URL: await urlOfHosts([pair.primary, pair.standby], 'failover'),
    })
    afterTest(() => other.stop())
    await other.call('clinic', 'note', [2])
    await gateway.call('clinic', 'note', [3])

    expect(await idsOf(pair.standby)).toEqual([1, 2, 3])
    expect(await idsOf(pair.primary)).toEqual([1])
    expect(await sessions(pair.primary)).toBe(0)
  })

  test('it is followed back', async () => {
    await pair.primary.stop()
    await promote(pair.standby)
    await followed()
    await gateway.call('clinic', 'note', [2])
    await pair.primary.demote(pair.standby)
    await pair.primary.start()
    await eventually(
      'the old one has everything',
      async () => (await idsOf(pair.primary)).length === 2,
    )

    await pair.standby.stop()
    await promote(pair.primary)
    await followed()
    await gateway.call('clinic', 'note', [3])

    expect(await idsOf(pair.primary)).toEqual([1, 2, 3])
  })

  test('the log and /health tell', async () => {
    await pair.primary.stop()
    const { status, body } = await gateway.call('clinic', 'notes')
    expect({ status, body }).toMatchObject({
      status: 503,
      body: {
        error: 'connection_failed',
        message: expect.stringMatching(/^No PostgreSQL server takes writes/),
      },
    })
    expect((await gateway.get('/health')).status).toBe(503)

    await promote(pair.standby)
    await followed()

    expect((await gateway.get('/health')).status).toBe(200)
    const moves = gateway.logged.filter(({ message }) =>
      message?.startsWith('The primary has changed '),
    )
    expect(moves).toHaveLength(1)
    expect(moves[0].message).toMatch(new RegExp(` to ${pair.standby.socketFolder}`))
  })

  test('a primary that falls silent is followed, too', async () => {
    const load = writeTo(gateway, 8)
    pair.primary.freeze()
    const frozenAt = performance.now()
    await promote(pair.standby)

    await eventually('writes go through again', () => load.since(frozenAt + 1000) > 0)
    console.info(`silent for ${((performance.now() - frozenAt) / 1000).toFixed(1)} s`)
    pair.primary.thaw()
    await load.stop()

    expect(load.failed).toEqual([])
    await eventually('nobody is left there', async () => (await sessions(pair.primary)) === 0)
  })

  test('a promotion is seen while the old primary is still waited for', async () => {
    await gateway.call('clinic', 'notes')
    pair.primary.freeze()
    // Each alone: some have open connections, and hang; the others need new ones.
    const session = { 'app.user': 1 }
    const call = { platform: 'clinic', function: 'notes', session }
    const calls = Array.from({ length: 9 }, () => gateway.post('/call', call))
    expect((await Promise.race(calls)).status).toBe(503)
    calls.push(gateway.call('clinic', 'notes'))
    await sleep(2000)
    const promotedAt = performance.now()
    await promote(pair.standby)

    await followed()
    expect(performance.now() - promotedAt).toBeLessThan(6000)
    await Promise.all(calls)
  })

  test('a promotion is followed while the old primary goes on', async () => {
    const promotedAt = performance.now()
    await promote(pair.standby)

    await eventually('writes go to the new one', async () => {
      await gateway.call('clinic', 'note', [2])
      return (await idsOf(pair.standby)).includes(2)
    })
    expect(performance.now() - promotedAt).toBeLessThan(8000)
    await eventually('nobody is left there', async () => (await sessions(pair.primary)) === 0)
  })

  test('a call that runs on the old primary is cut when the new one is found', async () => {
    const nap = gateway.call('clinic', 'nap')
    await eventually('it runs', async () => {
      const [{ n }] = await pair.primary.query(
        `select count(*)::integer as n from pg_stat_activity where wait_event = 'PgSleep'`,
      )
      return n === 1
    })
    await promote(pair.standby)
    await pair.primary.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where application_name = 'failover' and wait_event is distinct from 'PgSleep'`,
    )
    // The old one lives on, but nobody gets there any more.
    await rm(join(pair.primary.socketFolder, '.s.PGSQL.5432'))
    await followed()

    const { status, body } = await nap
    expect({ status, body }).toMatchObject({ status: 503, body: { error: 'connection_failed' } })
  })
})

test('a commit whose wait for a standby is cancelled is not acknowledged', async () => {
  const gateway = await start(undefined, '', { STATEMENT_TIMEOUT_SECS: '1' })
  await pair.primary.query(`alter system set synchronous_standby_names = 'nobody'`)
  await pair.primary.query('select pg_reload_conf()')

  const { status, body } = await gateway.call('clinic', 'note_and_commit', [1])
  expect({ status, body }).toMatchObject({
    status: 503,
    body: { error: 'connection_failed', may_have_run: true },
  })
  expect(await idsOf(pair.primary)).toEqual([1])
  await pair.primary.query('alter system reset synchronous_standby_names')
  await pair.primary.query('select pg_reload_conf()')
})

describe('with several hosts', () => {
  test('and both as replicas, reads go to whichever is the standby', async () => {
    const urls = await Promise.all([pair.primary, pair.standby].map((one) => one.url('reader')))
    const gateway = await start(undefined, '', {
      DATABASE_READ_URLS: urls.join(','),
      DATABASE_READ_MAX_LAG_SECS: '60',
    })
    const usable = async () => {
      const { replicas } = (await gateway.get('/health')).body
      return replicas.map((one: Json) => one.usable).join()
    }
    await eventually('the second one is read from', async () => (await usable()) === 'false,true')
    await caughtUp()

    await pair.primary.stop()
    await promote(pair.standby)
    await eventually('writes go through', async () => {
      return (await gateway.call('clinic', 'note', [1])).status === 200
    })
    await pair.primary.demote(pair.standby)
    await pair.primary.start()
    // A standby says on which timeline it is once it has a restart point there.
    await pair.standby.query('checkpoint')
    await eventually('the first one is read from', async () => {
      await pair.primary.query('checkpoint')
      return (await usable()) === 'true,false'
    })
    await eventually('what it answers is current', async () => {
      const { body } = await gateway.call('clinic', 'where_from')
      return body.rows?.[0].where_from === 'standby 1'
    })
  })

  test('the gateway starts at the primary, wherever that stands in the list', async () => {
    const gateway = await start([pair.standby, pair.primary])

    expect((await gateway.call('clinic', 'note', [1])).status).toBe(200)
    expect(await idsOf(pair.primary)).toEqual([1])
    expect(await sessions(pair.standby)).toBe(0)
  })

  test('a server that turns read-only is left with target_session_attrs=read-write', async () => {
    const gateway = await start(undefined, '&target_session_attrs=read-write')
    await gateway.call('clinic', 'note', [1])
    await pair.primary.query('alter system set default_transaction_read_only = on')
    await pair.primary.query('select pg_reload_conf()')
    // The postmaster reads it when it comes to it, and tells its sessions before it opens another one.
    await eventually('the server is read-only', async () => {
      const [{ value }] = await pair.primary.query(
        `select current_setting('default_transaction_read_only') as value`,
      )
      return value === 'on'
    })
    await eventually('no session is used any more', async () => {
      const { body } = await gateway.call('clinic', 'note', [2])
      return body.cause === 'NOT_PRIMARY'
    })

    await promote(pair.standby)
    await eventually('the other one is', async () => {
      return (await gateway.call('clinic', 'note', [3])).status === 200
    })

    expect(await idsOf(pair.standby)).toEqual([1, 3])
  })

  test('a single standby is refused with target_session_attrs=primary', async () => {
    const url = `${await pair.standby.url('failover')}&target_session_attrs=primary`
    const starting = startTestGateway({ DATABASE_URL: url, START_TIMEOUT_SECS: '0' })

    await expect(starting).rejects.toThrow('does not answer (NOT_PRIMARY)')
  })
})
