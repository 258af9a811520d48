import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Answer,
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'
import { WAYS } from './session-statements.ts'

// Functions that run every statement that may leave something in a session, written in every way.
// After each the next call on the same connection finds the session as one that nothing ran in.

const platform = uniqueName('differ')
const database = `${platform}_main`
let gateway: TestGateway

/** Everything of a session that a later call could notice. */
const LOOK = `
  create or replace function look() returns jsonb language plpgsql as $f$
  declare last text;
  begin
    begin
      last := lastval();
    exception when others then
      -- Of a function that handles all errors the gateway knows that it runs alone.
      last := null;
    end;
    return jsonb_build_object(
      'pid', pg_backend_pid(),
      'settings', (
        select jsonb_object_agg(name, setting) from pg_settings
        where source in ('session', 'interactive') and name <> all (array[
          -- The gateway's own, whose values are looked at below.
          'application_name', 'statement_timeout', 'default_transaction_read_only',
          'transaction_read_only'])
      ),
      'timeout', current_setting('statement_timeout'),
      'read only', current_setting('default_transaction_read_only'),
      'named', current_setting('application_name') <> 'leaked',
      'custom', concat_ws(',', nullif(current_setting('app.leak', true), ''),
        nullif(current_setting('local.leak', true), ''),
        nullif(current_setting('constraints.leak', true), '')),
      'roles', array[session_user::text, current_user::text, current_setting('role')],
      'path', current_setting('search_path'),
      'temporary', (
        select jsonb_agg(relname) from pg_class where relnamespace = pg_my_temp_schema()
      ),
      'temporary functions', (
        select jsonb_agg(proname) from pg_proc where pronamespace = pg_my_temp_schema()
      ),
      'temporary types', (
        select jsonb_agg(typname) from pg_type where typnamespace = pg_my_temp_schema()
      ),
      'prepared', (select jsonb_agg(name) from pg_prepared_statements where from_sql),
      'cursors', (select jsonb_agg(name) from pg_cursors where is_holdable),
      'listens', (select jsonb_agg(channel) from pg_listening_channels() as channel),
      'locks', (
        select jsonb_agg(objid) from pg_locks where locktype = 'advisory' and classid <> 1684170615 and pid = pg_backend_pid()
      ),
      'isolation', current_setting('transaction_isolation'),
      'deferrable', current_setting('transaction_deferrable'),
      'last value', last
    );
  end $f$`

const OBJECTS = `
  create table item (id serial primary key, name text);
  create table parent (id int primary key);
  create table child (
    parent int constraint child_parent references parent deferrable initially immediate
  );
  create sequence numbers;
  -- A name that is not pg_catalog's function.
  create function set_config(text, int, boolean) returns text language sql as
    $f$ select pg_catalog.set_config($1, $2::text, $3) $f$;`

beforeAll(async () => {
  // One connection for calls, beside the one that listens: each call finds what the last one left.
  gateway = await startTestGateway({ MAX_CONNECTIONS_PER_POOL: '2' })
  const files = { 'migrations/001_objects.pssql': OBJECTS, 'functions/look.pssql': `${LOOK};` }
  expect((await gateway.register(platform, await pack(files))).body).toMatchObject({
    status: 'ready',
  })
  // All at once: after each change by hand the gateway reads the functions anew. The bodies are not
  // checked: some fail as they run.
  const definitions = CASES.flatMap(({ leavers }) => leavers.map(({ definition }) => definition))
  await queryDatabase(database, `set check_function_bodies = off; ${definitions.join(';\n')}`)
})
afterAll(() => gateway.stop())

async function look(): Promise<Json> {
  const { status, body } = await gateway.call(platform, 'look')
  expect({ status, ...body }).toMatchObject({ status: 200 })
  return body.rows[0].look
}

/** A statement written in one way, and the function that runs it. */
interface Leaver {
  statement: string
  leave: string
  definition: string
}

const CASES = WAYS.map(({ name: way, statements, define }, i) => ({
  way,
  leavers: statements.map((statement, j): Leaver => {
    const leave = `leave_${i}_${j}`
    return { statement, leave, definition: define(leave, statement) }
  }),
}))

/** Whatever became of it, but no error of the gateway's own. */
function expectFromFunction({ status, body }: Answer): void {
  if (status === 200) return
  expect(body).toMatchObject({ error: 'query_failed', sqlstate: expect.any(String) })
}

async function session(): Promise<Json> {
  const { pid: _, ...rest } = await look()
  return rest
}

let clean: Json
beforeAll(async () => {
  clean = await session()
})

for (const { way, leavers } of CASES) {
  describe(way, () => {
    test.each(leavers)('$statement', async ({ leave }) => {
      const first = await gateway.call(platform, leave)
      expectFromFunction(first)
      expect(await session()).toEqual(clean)
      // What it left itself would be in its way.
      const second = await gateway.call(platform, leave)
      expect([second.status, second.body.sqlstate]).toEqual([first.status, first.body.sqlstate])
      expect(await session()).toEqual(clean)
    })
  })
}

test('the calls of this test come one after the other on one connection', async () => {
  const pids = new Set<number>()
  for (let i = 0; i < 10; i++) pids.add((await look()).pid)
  expect(pids.size).toBeLessThanOrEqual(2)
})
