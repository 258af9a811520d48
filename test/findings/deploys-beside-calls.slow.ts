import { beforeAll, describe, expect, test } from 'vitest'
import { LOCK_CLASS } from '../../lib/postgres/pools/call-sessions.ts'
import { startTwoGateways } from '../helpers/for-file.ts'
import {
  type Answer,
  queryDatabase,
  schemaForm,
  sessionsRunning,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'
import { startProcess, until } from '../helpers/process.ts'

// Deploys that give a type or a column another type while calls run: when calls are kept waiting, and
// that no such change is committed beside a call.

const platform = uniqueName('held')
const database = `${platform}_main`
const FILES: Files = {
  'migrations/001_types.pssql': `
    create type pair as (k text, n int);
    create table part (id int primary key, n numeric(10, 1), k text);
    create sequence runs;`,
  'functions/calls.pssql': `
    create function one() returns int language sql as 'select 1';
    create function sleep_and_count(p_seconds float8) returns int language plpgsql as $$
      declare v_run int := nextval('runs');
      begin
        perform pg_sleep(p_seconds);
        return v_run;
      end $$;`,
}
const OUTSIDE = '-- gateway: no-transaction\n'
const LOSES = '-- gateway: allow-data-loss\n'

const { url: adminUrl, gateway, other } = await startTwoGateways()
const gateways = [gateway, other]
let migrations = 1

beforeAll(async () => {
  expect(await gateway.register(platform, await pack(FILES))).toMatchObject({ status: 200 })
})

function addMigration(text: string): void {
  migrations++
  FILES[`migrations/${String(migrations).padStart(3, '0')}_next.pssql`] = text
}

/** Deploys more migrations, on the first gateway. */
async function release(...texts: string[]): Promise<Answer> {
  for (const text of texts) addMigration(text)
  return gateways[0]!.migrate(platform, await pack(FILES))
}

/** Another type for an attribute. */
let type = 'text'
function retype(): string {
  type = type === 'text' ? 'varchar' : 'text'
  return `alter type pair alter attribute k type ${type} cascade;`
}

/** A call on the second gateway, which hears of the deploy from PostgreSQL alone. */
function callFor(seconds: number): Promise<Answer> {
  return gateways[1]!.call(platform, 'sleep_and_count', [seconds])
}

const isRunning = async (text: string) => (await sessionsRunning(database, text)) > 0
const CLOSED_GATES = `
  select from pg_locks
  where locktype = 'advisory' and classid = ${LOCK_CLASS} and objid = 1 and mode = 'ExclusiveLock' and granted
    and database = (select oid from pg_database where datname = current_database())`

async function isGateClosed(): Promise<boolean> {
  return (await queryDatabase(database, CLOSED_GATES, { asGateway: true })).length > 0
}

const callRuns = () => isRunning('/* sleep_and_count */')

/** The columns of relations, as another session sees them. */
async function columns(): Promise<string> {
  const [row] = await queryDatabase(
    database,
    `select string_agg(format('%s %s %s', attname, format_type(atttypid, atttypmod), attcollation), ',') as text
     from pg_attribute where attrelid in ('pair'::regclass, 'part'::regclass) and attnum > 0`,
  )
  return row.text
}

/** Deploys beside a call, and tells whether the change of columns was committed while the call ran. */
async function isCommittedBesideCall(...texts: string[]): Promise<boolean> {
  const before = await columns()
  const call = callFor(1.5)
  await until(callRuns)
  const deploy = release(...texts)
  await until(async () => (await columns()) !== before)
  const isBeside = await callRuns()
  expect(await deploy).toMatchObject({ status: 200 })
  expect(await call).toMatchObject({ status: 200 })
  return isBeside
}

describe('while later files of a deploy run', () => {
  test('calls are not kept waiting', async () => {
    const deploy = release(retype(), `${LOSES}select pg_sleep(3);`)
    await until(() => isRunning('select pg_sleep(3)'))
    expect(await gateways[1]!.call(platform, 'one')).toMatchObject({ status: 200 })
    expect(await isRunning('select pg_sleep(3)')).toBe(true)
    expect(await deploy).toMatchObject({ status: 200 })
  })
})

describe('a file that may lose data and adds a value to an enum', () => {
  test('is committed beside no call where it retypes', async () => {
    const file = `${LOSES}
      create type mood as enum ('a');
      alter type mood add value 'b';
      ${retype()}`
    expect(await isCommittedBesideCall(file, 'select pg_sleep(2);')).toBe(false)
  })
})

describe('a file that runs outside of transactions', () => {
  test('retypes beside no call', async () => {
    const file = `${OUTSIDE}${LOSES}${retype()}\nselect 1;`
    expect(await isCommittedBesideCall(file, 'select pg_sleep(2);')).toBe(false)
  })

  test('by dynamic SQL, neither', async () => {
    const file = `${OUTSIDE}do $$ begin execute '${retype()}'; end $$;`
    expect(await isCommittedBesideCall(file, 'select pg_sleep(2);')).toBe(false)
  })

  test('runs what cannot be in a transaction, and what ends its own', async () => {
    const answer = await release(
      `create procedure in_parts() language plpgsql as $$
       begin insert into part (id) values (1); commit; insert into part (id) values (2); end $$;`,
      `${OUTSIDE}vacuum part;
       call in_parts();
       do $$ begin insert into part (id) values (3); commit; end $$;
       create index concurrently part_n on part (n);
       update part set n = id;`,
    )
    expect(answer).toMatchObject({ status: 200 })
    const rows = await queryDatabase(database, 'select id, n::int as n from part order by id')
    expect(rows).toEqual([1, 2, 3].map((id) => ({ id, n: id })))
  })
})

describe('a gateway that is stopped while it keeps calls waiting', () => {
  test('does so for some seconds: PostgreSQL rolls its deploy back', {
    timeout: 60_000,
  }, async () => {
    const stopped = await startProcess({ DATABASE_URL: adminUrl, TEMPLATES: 'off' })
    const url = await stopped.url()
    const call = callFor(4)
    await until(callRuns)
    addMigration(retype())
    const body = schemaForm(platform, await pack(FILES))
    const deploy = fetch(`${url}/migrate`, { method: 'POST', body }).catch(() => {})
    await until(isGateClosed)
    stopped.kill('SIGSTOP')
    try {
      expect(await call).toMatchObject({ status: 200 })
      await until(async () => !(await isGateClosed()))
      expect(await gateways[1]!.call(platform, 'one')).toMatchObject({ status: 200 })
    } finally {
      stopped.kill('SIGKILL')
      await deploy
    }
    expect(await release()).toMatchObject({ status: 200 })
  })
})

describe('another precision, or another collation', () => {
  test.each([
    'alter table part alter n type numeric(10, 2);',
    'alter table part alter k type text collate "C";',
  ])('%s is committed beside no call', async (sql) => {
    expect(await isCommittedBesideCall(LOSES + sql)).toBe(false)
  })
})

describe('one call beside several changes', () => {
  const runs = async () =>
    (
      await queryDatabase(database, 'select last_value::int - (not is_called)::int as n from runs')
    )[0].n

  test('is cut by none of the commits behind the one that retypes', async () => {
    const before = await columns()
    const deploy = release(retype(), `${OUTSIDE}vacuum part;`, 'select pg_sleep(1);')
    await until(async () => (await columns()) !== before)
    const count = await runs()
    const call = callFor(3.5)
    expect(await deploy).toMatchObject({ status: 200 })
    const rows = [{ sleep_and_count: count + 1 }]
    expect(await call).toMatchObject({ status: 200, body: { rows } })
  })

  test('runs again as often as deploys cut it', { timeout: 60_000 }, async () => {
    const before = await runs()
    const call = callFor(4)
    await until(callRuns)
    for (const _ of [1, 2]) {
      expect(await release(retype())).toMatchObject({ status: 200 })
      await until(callRuns)
    }
    const rows = [{ sleep_and_count: before + 3 }]
    expect(await call).toMatchObject({ status: 200, body: { rows } })
  })
})
