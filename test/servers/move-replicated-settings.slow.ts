import { readFile, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { findTools } from '../helpers/dumps.ts'
import { connectTo } from '../helpers/gateway.ts'
import { dropFormer, replicate, replicatedWorld, tracesOf } from '../helpers/replicated-moves.ts'

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

  test('is refused where the publication that stays cannot be made', async () => {
    const { main } = world
    await main.query('drop publication if exists _db_gateway_reach')
    await main.query(`alter role gateway nosuperuser replication;
      alter database gateway owner to postgres; revoke create on database gateway from gateway`)
    const { body } = await replicate(world, 'eu1')
    await main.query(`alter role gateway superuser noreplication;
      alter database gateway owner to gateway`)
    expect(body.error).toBe('move_refused')
    expect(body.message).toContain(
      'cannot make the publication _db_gateway_reach in the database gateway (permission denied',
    )
    expect(body.hint).toBe('"grant create on database gateway to gateway" on main')
    expect(await main.query('select from pg_publication')).toEqual([])
  })

  test('says that the former server has to ask for a password', async () => {
    const { main, eu1 } = world
    const [{ major }] = (await eu1.query(
      `select current_setting('server_version_num')::integer / 10000 as major`,
    )) as [{ major: number }]
    // Before, only superusers make subscriptions.
    if (major < 16) return
    const [{ hba_file: file }] = (await main.query('show hba_file')) as [{ hba_file: string }]
    const before = await readFile(file, 'utf8')
    await writeFile(file, `local all gateway trust\n${before}`)
    await main.query('select pg_reload_conf()')
    await eu1.query('alter role gateway nosuperuser; grant pg_create_subscription to gateway')
    const { body } = await replicate(world, 'eu1')
    await eu1.query('alter role gateway superuser')
    await writeFile(file, before)
    await main.query('select pg_reload_conf()')
    expect(body.message).toContain('the server eu1 does not reach main')
    expect(body.hint).toContain('pg_hba.conf of main ask gateway for a password (scram-sha-256)')
  })

  test('is not broken by settings of servers, databases and roles', async () => {
    const { main, eu1, name, role } = world
    const [{ major }] = (await main.query(
      `select current_setting('server_version_num')::integer / 10000 as major`,
    )) as [{ major: number }]
    // The copy of this table takes longer than the limits.
    await main.query(
      `insert into t select i, (select string_agg(sha512(int4send(i * 1000 + j))::text, '')
       from generate_series(1, 1000) j) from generate_series(1, 500) i`,
      name,
    )
    const limits: Record<string, string> = {
      statement_timeout: '300',
      lock_timeout: '10',
      idle_in_transaction_session_timeout: '100',
      idle_session_timeout: '3000',
      ...(major >= 17 && { transaction_timeout: '300' }),
    }
    const others = {
      default_transaction_read_only: 'on',
      default_transaction_isolation: 'serializable',
      default_transaction_deferrable: 'on',
      search_path: 'nowhere',
    }
    for (const [key, value] of Object.entries({ ...limits, ...others })) {
      const set = `set ${key} = '${value}'`
      for (const server of key in limits ? [main, eu1] : [])
        await server.query(`alter role gateway ${set}`, 'postgres')
      await main.query(`alter database ${name} ${set}`, 'postgres')
      await main.query(`alter role ${role} in database ${name} ${set}`, 'postgres')
    }
    await main.query(`alter database ${name} set role = '${role}'`, 'postgres')
    const moved = await replicate(world, 'eu1')
    expect(moved.body).toMatchObject({ status: 'moved' })
    expect(await tracesOf(world)).toHaveLength(2)
    const settings = await eu1.query(
      `select unnest(setconfig) as one from pg_db_role_setting s join pg_database d on d.oid = setdatabase
       where datname = '${name}' and setrole = 0`,
      'postgres',
    )
    expect(settings).toContainEqual({ one: 'statement_timeout=300' })
    for (const server of [main, eu1]) await server.query('alter role gateway reset all', 'postgres')
    await eu1.query(
      `alter database ${name} reset all; alter role ${role} in database ${name} reset all`,
      'postgres',
    )
    expect((await world.gateway.call(world.platform, 'total', [], 'north')).body.rows).toEqual([
      { total: 500 },
    ])
    await moveBack()
    expect(await tracesOf(world)).toEqual([])
  }, 120_000)

  test('is refused where the role of the gateway has such a setting in the database', async () => {
    const { main, name } = world
    await main.query(`alter role gateway in database ${name} set lock_timeout = 5`)
    const refused = await replicate(world, 'eu1')
    await main.query(`alter role gateway in database ${name} reset lock_timeout`)
    expect(refused.body.error).toBe('move_refused')
    expect(refused.body.message).toContain(
      "settings of the gateway's own role in this database (lock_timeout)",
    )
  })
})

describe.runIf(hasTools)('a move whose way is chosen', () => {
  const move = async (to: string, more: object = {}) =>
    (await world.gateway.post('/admin/move-tenant', { ...world.tenant, to, ...more })).body

  test('replicates what calls cannot wait for, and dumps the rest', async () => {
    expect(await move('eu1', { max_wait_s: 3 })).toMatchObject({
      status: 'moved',
      how: 'replicate',
      why: expect.stringMatching(
        /^a dump of .* MB takes some .* s, and calls may wait for 3.0 s alone$/,
      ),
    })
    expect(await dropFormer(world, 'main')).toBe('dropped')
    await world.eu1.query('truncate t', world.name)
    expect(await move('main')).toMatchObject({
      status: 'moved',
      how: 'dump',
      why: expect.stringMatching(/^a dump of .* MB takes some .* s, and calls may wait for 5.0 s$/),
    })
    expect(await dropFormer(world, 'eu1')).toBe('dropped')
  }, 60_000)

  test('dumps what cannot be replicated, and says why', async () => {
    await world.main.query(`set role ${world.role}; create table bare (a integer)`, world.name)
    const refused = await move('eu1', { max_wait_s: 0.5 })
    expect(refused.error).toBe('tenant_busy')
    expect(refused.not_replicated).toContain('tables without a primary key')
    expect(await move('eu1', { max_wait_s: 0.5, hold: true })).toMatchObject({
      status: 'moved',
      how: 'dump',
      why: 'logical replication is not possible',
      warnings: [expect.stringContaining('tables without a primary key')],
    })
  }, 60_000)
})
