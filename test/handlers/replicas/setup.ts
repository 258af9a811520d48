import { afterAll, beforeAll, expect } from 'vitest'
import { afterTest } from '../../helpers/after-test.ts'
import { type Answer, startTestGateway, type TestGateway } from '../../helpers/gateway.ts'
import { type Files, pack } from '../../helpers/platforms.ts'
import { eventually } from '../../helpers/process.ts'
import { type ReplicationPair, startReplication } from '../../helpers/replication.ts'

/** A function that says whether it runs on the replica; `body` comes before. */
export function where(name: string, declared: string, body = ''): Files {
  return {
    [`functions/${name}.pssql`]: `
      create or replace function ${name}() returns boolean language plpgsql ${declared}
      as $$ begin ${body} return pg_is_in_recovery(); end $$;`,
  }
}

export const FILES: Files = {
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

export let pair: ReplicationPair

/** Starts what the tests of a file use; each file calls this at its top. */
export function setUp(): void {
  beforeAll(async () => {
    pair = await startReplication({ max_standby_streaming_delay: '200ms' })
  })

  afterAll(() => pair?.end())
}

/** A gateway with the replica, which is used by now; `urls` are others than that one. */
export async function start(settings: Record<string, string> = {}): Promise<TestGateway> {
  const gateway = await startWith({
    DATABASE_READ_URLS: await pair.standby.url('replica'),
    DATABASE_READ_MAX_LAG_SECS: '60',
    ...settings,
  })
  await used(gateway)
  return gateway
}

export async function startWith(settings: Record<string, string>): Promise<TestGateway> {
  const DATABASE_URL = await pair.primary.url('gateway')
  return startTestGateway({ DATABASE_URL, ...settings })
}

/** The same, for one test alone. */
export async function startForTest(settings: Record<string, string> = {}): Promise<TestGateway> {
  const gateway = await start(settings)
  afterTest(() => gateway.stop())
  await gateway.register('clinic', await pack(FILES))
  await caughtUp()
  return gateway
}

export function used(gateway: TestGateway, usable = true): Promise<unknown> {
  return eventually(`usable is ${usable}`, async () => {
    const { replicas } = (await gateway.get('/health')).body
    return replicas.every((replica: { usable: boolean }) => replica.usable === usable)
  })
}

/** Waits until the replica has what the primary has, and until the gateways have seen that. */
export async function caughtUp(): Promise<void> {
  const [{ lsn }] = await pair.primary.query('select pg_current_wal_lsn()::text as lsn')
  await eventually('the replica has caught up', async () => {
    const [row] = await pair.standby.query(
      `select pg_last_wal_replay_lsn() >= '${lsn}' as is_there`,
    )
    return row.is_there
  })
  await new Promise((resolve) => setTimeout(resolve, 2500))
}

export async function pauseReplay(): Promise<void> {
  await pair.standby.query('select pg_wal_replay_pause()')
  await eventually('the replay is paused', async () => {
    const [{ state }] = await pair.standby.query('select pg_get_wal_replay_pause_state() as state')
    return state === 'paused'
  })
}

export async function resumeReplay(): Promise<void> {
  await pair.standby.query('select pg_wal_replay_resume()')
}

/** Whether the function ran on the replica. */
export async function ranOnReplica(answer: Promise<Answer>): Promise<boolean> {
  const { status, body } = await answer
  expect({ status, body }).toMatchObject({ status: 200 })
  return Object.values(body.rows[0])[0] as boolean
}

/** Functions that run on the replica just now. */
export async function sleepers(): Promise<number> {
  const [{ n }] = await pair.standby.query(
    `select count(*)::integer as n from pg_stat_activity where wait_event = 'PgSleep'`,
  )
  return n
}
