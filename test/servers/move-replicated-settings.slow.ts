import { describe, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { findTools } from '../helpers/dumps.ts'
import { connectTo } from '../helpers/gateway.ts'
import { dropFormer, replicate, replicatedWorld } from '../helpers/replicated-moves.ts'

// Settings of servers and their effects on moves by logical replication. PG_MAJOR=15 has pg_dump of Debian 12.

const hasTools = (await findTools()) !== undefined

const world = replicatedWorld(
  {
    'tables/t.pssql': 'create table t (id integer primary key, noise text not null);',
    'functions/total.pssql': `create or replace function total() returns integer language sql stable
      as $$ select count(*)::integer from t $$`,
  },
  { log_statement: 'ddl' },
)

/** Moves the tenant back, and drops what is left. */
async function moveBack(): Promise<void> {
  expect(await dropFormer(world, 'main')).toBe('dropped')
  expect((await replicate(world, 'main')).body.status).toBe('moved')
  expect(await dropFormer(world, 'eu1')).toBe('dropped')
}

describe.runIf(hasTools)('a move by logical replication', () => {
  test('leaves the password of the other server out of the log', async () => {
    const { main, eu1, name } = world
    const { password } = parseDatabaseUrl(main.uri)
    const hasPassword = () => eu1.logged.filter((line) => line.includes(password))

    // A server that cannot be reached, as far as PostgreSQL tells.
    await eu1.query(
      `create subscription _db_gateway_reach connection '' publication p with (connect = false)`,
    )
    const unreached = await replicate(world, 'eu1')
    expect(unreached.body.message).toContain('subscription "_db_gateway_reach" already exists')
    expect(hasPassword()).toEqual([])
    await eu1.query(`alter subscription _db_gateway_reach set (slot_name = none);
      drop subscription _db_gateway_reach`)

    // The subscription itself fails when the move has begun.
    const sql = connectTo(name, 1, main.uri)
    await sql.unsafe('begin; select pg_current_xact_id()')
    const moving = replicate(world, 'eu1')
    const waits = () =>
      main.query("select from pg_stat_activity where query ~ 'create_logical_rep'")
    await expect.poll(async () => (await waits()).length, { timeout: 20_000 }).toBeGreaterThan(1)
    await eu1.query('alter role gateway nosuperuser')
    await sql.end()
    expect((await moving).body.message).toContain('the other server does not subscribe: ')
    expect(hasPassword()).toEqual([])
    await eu1.query('alter role gateway superuser')

    // A superuser of the gateway keeps it out of all other logs, too.
    await eu1.query(`alter system set log_statement = 'all'`)
    await eu1.query('alter system set log_min_duration_statement = 0')
    await eu1.query('select pg_reload_conf()')
    expect((await replicate(world, 'eu1')).body.status).toBe('moved')
    expect(eu1.logged.some((line) => line.includes('drop subscription'))).toBe(true)
    expect(hasPassword()).toEqual([])
    await eu1.query('alter system reset all')
    await eu1.query('select pg_reload_conf()')
    await moveBack()
  }, 120_000)
})
