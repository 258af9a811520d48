import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'
import { until } from '../helpers/process.ts'

const platform = uniqueName('session')
const database = `${platform}_main`
let gateway: TestGateway

/** All connections of the database, which calls that overlap take both of. */
const CONNECTIONS = 2

/** Of a session, all that calls must not leave there. */
const FILES = {
  'migrations/001_tables.pssql': `
    create table item (id serial primary key, name text);
    create table watched (id int);
    create table item_of_somebody (id int)`,
  'functions/session.pssql': `
    create or replace function session() returns jsonb language plpgsql as $$
    begin
      -- Long enough for others to need another connection.
      perform pg_sleep(0.1);
      return jsonb_build_object(
        'settings', (
          select jsonb_object_agg(name, setting) from pg_settings
          where source in ('session', 'interactive') and setting <> ''
        ),
        'roles', jsonb_build_array(session_user = current_user, current_setting('role')),
        'leak', nullif(current_setting('app.leak', true), ''),
        'search_path', current_setting('search_path'),
        'statement_timeout', current_setting('statement_timeout'),
        'application_name', current_setting('application_name') <> '',
        'read_only', current_setting('transaction_read_only'),
        'isolation', current_setting('transaction_isolation'),
        'temporary', (
          select jsonb_agg(relname) from pg_class where relnamespace = pg_my_temp_schema()
        ),
        'temporary functions', (
          select jsonb_agg(proname) from pg_proc where pronamespace = pg_my_temp_schema()
        ),
        'listens', (select jsonb_agg(channel) from pg_listening_channels() as channel),
        'locks', (
          select jsonb_agg(objid) from pg_locks
          where locktype = 'advisory' and classid <> 1684170615 and pid = pg_backend_pid()
        ),
        'prepared', (select jsonb_agg(name) from pg_prepared_statements where from_sql),
        'cursors', (select jsonb_agg(name) from pg_cursors where is_holdable)
      );
    end $$`,
  'functions/pid.pssql': `
    create or replace function pid() returns int language plpgsql as $$
    begin perform pg_sleep(0.1); return pg_backend_pid(); end $$`,
  'functions/add_item.pssql': `
    create or replace function add_item() returns int language plpgsql as $$
    declare n int;
    begin
      -- So that many at once use all connections.
      perform pg_sleep(0.1);
      insert into item (name) values ('x') returning id into n;
      return n;
    end $$`,
}

const define = (sql: string) => queryDatabase(database, sql)

beforeAll(async () => {
  gateway = await startTestGateway({ MAX_CONNECTIONS_PER_POOL: `${CONNECTIONS}` })
  const { body } = await gateway.register(platform, await pack(FILES))
  expect(body).toMatchObject({ status: 'ready' })
})
afterAll(() => gateway.stop())

async function rows(name: string, params: Json = []): Promise<Json[]> {
  const { body } = await gateway.call(platform, name, params)
  expect(body).toHaveProperty('rows')
  return body.rows
}

/** What calls find in all sessions that there are. */
async function sessions(): Promise<Json[]> {
  const calls = Array.from({ length: CONNECTIONS }, () => rows('session'))
  return (await Promise.all(calls)).map(([row]) => row.session)
}

/** What a session is that nobody has used. */
const CLEAN = {
  settings: null,
  roles: [true, 'none'],
  leak: null,
  search_path: '"$user", public',
  statement_timeout: '30s',
  application_name: true,
  read_only: 'off',
  isolation: 'read committed',
  temporary: null,
  'temporary functions': null,
  listens: null,
  locks: null,
  prepared: null,
  cursors: null,
}

/** A function that runs this, and tells on which connection. */
const inPlpgsql = (body: string) =>
  `create or replace function leave() returns int language plpgsql
   as $f$ begin ${body} return pg_backend_pid(); end $f$`
const inSql = (body: string) =>
  `create or replace function leave() returns int language sql
   as $f$ ${body}; select pg_backend_pid() $f$`

let made = 0

/** Makes the function that is called `leave` in this SQL, and returns its own name. */
async function make(definition: string): Promise<string> {
  const name = `leave_${++made}`
  await define(definition.replaceAll('leave()', `${name}()`))
  return name
}

/** What is left, as a body in PL/pgSQL, and what of a session it changes. */
const LEAVINGS: Record<string, [body: string, what: string]> = {
  'a setting': ["set app.leak = 'x';", 'leak'],
  'a setting by a function': ["perform set_config('app.leak', 'x', false);", 'leak'],
  'a setting of PostgreSQL': ["set work_mem = '1MB';", 'settings'],
  'its search path': ['set search_path = pg_temp, pg_catalog;', 'search_path'],
  'the time that a statement may take': ["set statement_timeout = '1h';", 'statement_timeout'],
  'its name': ["set application_name = '';", 'application_name'],
  'a role': ["execute format('set role %I', current_user);", 'roles'],
  'a kind of transaction': [
    'set session characteristics as transaction isolation level serializable;',
    'isolation',
  ],
  'transactions that only read': [
    'set session characteristics as transaction read only;',
    'read_only',
  ],
  'a temporary table': ['create temp table leaked (id int);', 'temporary'],
  'a temporary view': ['create view pg_temp.leaked as select 1;', 'temporary'],
  'a temporary function': [
    "create function pg_temp.leaked() returns int language sql as 'select 1';",
    'temporary functions',
  ],
  LISTEN: ['listen leaked;', 'listens'],
  'an advisory lock': ['perform pg_advisory_lock(42);', 'locks'],
  'a prepared statement': ["execute 'prepare leaked as select 1';", 'prepared'],
  'a prepared statement with a name like no other': [
    `execute 'prepare "Leaked ""it" as select 1';`,
    'prepared',
  ],
  'a cursor': ["execute 'declare leaked cursor with hold for select 1';", 'cursors'],
}

describe('the next call finds nothing of', () => {
  test.each(Object.entries(LEAVINGS))('%s', async (_, [body, what]) => {
    const name = await make(inPlpgsql(body))
    // In one transaction, the function and what it has left.
    const calls = [{ function: name }, { function: 'session' }]
    const together = await gateway.post('/batch', { platform, calls, transaction: true })
    const during = together.body.results?.[1].rows[0].session
    // A transaction that has begun is of the kind that it is, and LISTEN comes with its end.
    if (!['isolation', 'read_only', 'listens'].includes(what)) {
      expect(during[what]).not.toEqual(CLEAN[what as keyof typeof CLEAN])
    }
    expect(await sessions()).toEqual([CLEAN, CLEAN])
    await Promise.all([rows(name), rows(name)])
    expect(await sessions()).toEqual([CLEAN, CLEAN])
  })

  test('the last value of a sequence', async () => {
    await define(`
      create or replace function last_value() returns bigint language sql
        as $$ select lastval() $$;
      create or replace function current_value() returns bigint language sql
        as $$ select currval('item_id_seq') $$;
      create or replace function dynamic_value() returns bigint language plpgsql
        as $$ declare n bigint; begin execute 'select lastval()' into n; return n; end $$`)
    await Promise.all([rows('add_item'), rows('add_item')])
    for (const name of ['last_value', 'current_value', 'dynamic_value']) {
      const { body } = await gateway.call(platform, name)
      expect(body).toMatchObject({ sqlstate: '55000' })
    }
    // Who has taken one in the same transaction has it.
    const calls = [{ function: 'add_item' }, { function: 'last_value' }]
    const { body } = await gateway.post('/batch', { platform, calls, transaction: true })
    expect(body.results[1].rows[0].last_value).toBe(body.results[0].rows[0].add_item)
    // In another, although it came with it, one has not.
    const apart = await gateway.post('/batch', { platform, calls })
    expect(apart.body.results[1]).toMatchObject({ sqlstate: '55000' })
  })

  test('the seed of random numbers', async () => {
    await define(`
      create or replace function seeded() returns void language sql as $$ select setseed(0.5) $$;
      create or replace function dice() returns float language plpgsql as $$
      begin perform pg_sleep(0.1); return random(); end $$`)
    const ofTransaction = await make(inPlpgsql('set local seed to 0.25; perform pg_sleep(0.1);'))
    const seen: number[] = []
    for (const name of ['seeded', 'seeded', ofTransaction, ofTransaction]) {
      await Promise.all([rows(name), rows(name)])
      const throws = await Promise.all([rows('dice'), rows('dice')])
      seen.push(...throws.map(([row]) => row.dice))
    }
    expect(new Set(seen).size).toBe(seen.length)
  })

  test('what no reset reaches: its connection is closed', async () => {
    // A variable of the C code up to PostgreSQL 17, then a setting.
    const name = await make(`create extension isn; ${inPlpgsql('perform isn_weak(true);')}`)
    const [{ [name]: pid }] = await rows(name)
    await until(async () => {
      const [row] = await define(
        `select count(*)::int as n from pg_stat_activity where pid = ${pid}`,
      )
      return row.n === 0
    })
    await define(`
      create or replace function is_weak() returns boolean language plpgsql
        as $$ begin perform pg_sleep(0.1); return isn_weak(); end $$`)
    const seen = await Promise.all([rows('is_weak'), rows('is_weak')])
    expect(seen).toEqual([[{ is_weak: false }], [{ is_weak: false }]])
    await define('drop extension isn cascade')
  })
})

describe('it is seen where it is hidden', () => {
  const HIDDEN: Record<string, string> = {
    'two functions deep': `
      create or replace function deep() returns void language plpgsql
        as $$ begin perform set_config('app.leak', 'x', false); end $$;
      create or replace function middle() returns void language sql as $$ select deep() $$;
      ${inSql('select middle()')}`,
    'in a trigger': `
      create or replace function on_item() returns trigger language plpgsql
        as $$ begin perform set_config('app.leak', 'x', false); return new; end $$;
      create or replace trigger on_item before insert on watched
        for each row execute function on_item();
      ${inSql('insert into watched values (1)')}`,
    'in dynamic SQL': inPlpgsql("execute 'set app.' || 'leak = 1';"),
    'in a DO block': inPlpgsql("do $d$ begin set app.leak = 'x'; end $d$;"),
    'in a view': `
      create or replace view leaking as select set_config('app.leak', 'x', false);
      ${inSql('select 1 from leaking')}`,
    'in a default': `
      alter table item_of_somebody
        add column if not exists of text default set_config('app.leak', 'x', false);
      ${inSql('insert into item_of_somebody values (1)')}`,
    'in XML': inPlpgsql(
      "perform query_to_xml('select set_config(''app.'' || ''leak'', ''x'', false)', true, true, '');",
    ),
    'after an error': inPlpgsql(
      "begin raise 'x'; exception when others then set app.leak = 1; end;",
    ),
  }

  test.each(Object.entries(HIDDEN))('%s', async (_, definition) => {
    const name = await make(definition)
    await Promise.all([rows(name), rows(name)])
    expect(await sessions()).toEqual([CLEAN, CLEAN])
  })

  test('in a procedure, which commits it', async () => {
    await define(`
      create or replace procedure leave_behind() language plpgsql as $$
      begin
        perform set_config('app.leak', 'x', false), pg_advisory_lock(7);
        create temp table if not exists leaked (id int);
        commit;
        raise 'and fails';
      end $$`)
    const { body } = await gateway.call(platform, 'leave_behind')
    expect(body).toMatchObject({ error: 'query_failed' })
    expect(await sessions()).toEqual([CLEAN, CLEAN])
  })
})

describe('whatever way it is called', () => {
  let leave: string
  beforeAll(async () => {
    leave = await make(
      inPlpgsql("perform set_config('app.leak', 'x', false), pg_advisory_lock(1);").replace(
        'language',
        'stable language',
      ),
    )
  })

  test('as a stream', async () => {
    const accept = { accept: 'application/x-ndjson' }
    const { body } = await gateway.post('/call', { platform, function: leave }, accept)
    expect(body).toMatch(/^\{"leave_\d+":\d+\}\n$/)
    expect(await sessions()).toEqual([CLEAN, CLEAN])
  })

  test('by GET', async () => {
    expect((await gateway.get(`/call/${platform}/${leave}`)).status).toBe(200)
    expect(await sessions()).toEqual([CLEAN, CLEAN])
  })

  test('with settings of its own', async () => {
    const session = { 'app.other': 1 }
    expect((await gateway.post('/call', { platform, function: leave, session })).status).toBe(200)
    expect(await sessions()).toEqual([CLEAN, CLEAN])
  })

  test('in a batch, where each call is by itself', async () => {
    const calls = [{ function: leave }, { function: 'session' }, { function: leave }]
    const { body } = await gateway.post('/batch', { platform, calls })
    expect(body.results[1].rows[0].session).toEqual(CLEAN)
    expect(await sessions()).toEqual([CLEAN, CLEAN])
  })

  test('when it fails', async () => {
    await define(`
      create or replace function leave_and_fail() returns void language plpgsql as $$
      begin perform pg_advisory_lock(1); raise 'x'; end $$`)
    const { body } = await gateway.call(platform, 'leave_and_fail')
    expect(body).toMatchObject({ error: 'query_failed' })
    expect(await sessions()).toEqual([CLEAN, CLEAN])
  })

  test('when it is cancelled', async () => {
    await define(`
      create or replace function leave_and_wait() returns void language plpgsql as $$
      begin perform pg_advisory_lock(1); perform pg_sleep(30); end $$`)
    const body = { platform, function: 'leave_and_wait', timeout_ms: 100 }
    expect((await gateway.post('/call', body)).status).toBe(504)
    expect(await sessions()).toEqual([CLEAN, CLEAN])
  })

  test('so often that it would share its connection', async () => {
    for (let i = 0; i < 20; i++) {
      await Promise.all([rows(leave), rows(leave), rows(leave)])
    }
    expect(await sessions()).toEqual([CLEAN, CLEAN])
  })
})

test('a call that leaves nothing keeps its connection, and so does one that leaves something', async () => {
  const own = uniqueName('kept')
  const leaving = inSql("select set_config('app.leak', 'x', false)")
  await gateway.register(own, await pack({ ...FILES, 'functions/leave.pssql': leaving }))
  const both = async (name: string): Promise<number[]> => {
    const answers = await Promise.all([gateway.call(own, name), gateway.call(own, name)])
    return answers.map(({ body }) => body.rows[0][name])
  }
  const before = (await both('pid')).sort()
  for (let i = 0; i < 5; i++) await both(i % 2 ? 'leave' : 'add_item')
  expect((await both('pid')).sort()).toEqual(before)
})

test.each([
  ["current_setting('transaction_read_only')", 'off'],
  ["current_setting('default_transaction_read_only')", 'off'],
  ["(select setting from pg_settings where name = 'statement_timeout')", '30000'],
  ["(select current_setting(name) from (values ('statement_timeout')) as v (name))", '30s'],
])('a function finds the same in every session: %s', async (expression, found) => {
  const name = `of_session_${++made}`
  await define(`
    create function ${name}() returns text language sql stable as $$ select ${expression} $$`)
  for (let i = 0; i < 20; i++) expect(await rows(name)).toEqual([{ [name]: found }])
})

describe('a function that is made one that leaves something', () => {
  test('by a deploy is seen at once', async () => {
    const file = (body: string) => ({
      ...FILES,
      'functions/turning.pssql': `
        create or replace function turning() returns int language plpgsql
          as $f$ begin ${body} return 1; end $f$`,
      'functions/turned.pssql': `
        create or replace function turned() returns int language sql as $$ select turning() $$`,
    })
    await gateway.migrate(platform, await pack(file('')))
    for (let i = 0; i < 10; i++) await rows('turned')
    await gateway.migrate(platform, await pack(file("set app.leak = 'x';")))
    await Promise.all([rows('turned'), rows('turned')])
    expect(await sessions()).toEqual([CLEAN, CLEAN])
  })

  test('by hand is seen within seconds', { timeout: 40_000 }, async () => {
    const turning = (body: string) =>
      define(`create or replace function by_hand() returns int language plpgsql
        as $f$ begin ${body} return 1; end $f$`)
    await turning('')
    await define(`
      create or replace function calls_it() returns int language sql as $$ select by_hand() $$`)
    for (let i = 0; i < 10; i++) await rows('calls_it')
    await turning("set app.leak = 'x';")
    await until(async () => {
      await Promise.all([rows('calls_it'), rows('calls_it')])
      return (await sessions()).every(({ leak }) => leak === null)
    })
  })
})

test('random calls, one after the other and at once, leave nothing', async () => {
  const names: string[] = []
  for (const [body] of Object.values(LEAVINGS)) names.push(await make(inPlpgsql(body)))
  names.push('add_item', 'pid')
  const pick = () => names[Math.floor(Math.random() * names.length)]!
  for (let round = 0; round < 15; round++) {
    const drawn = Array.from({ length: 6 }, pick)
    const calls = drawn.map((name) => ({ function: name }))
    await Promise.all([
      ...drawn.map((name) => gateway.call(platform, name)),
      gateway.post('/batch', { platform, calls, transaction: round % 2 === 0 }),
    ])
    expect(await sessions(), drawn.join()).toEqual([CLEAN, CLEAN])
  }
})
