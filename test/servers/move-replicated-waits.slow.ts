import type { Sql } from 'postgres'
import { describe, expect, test } from 'vitest'
import { findTools } from '../helpers/dumps.ts'
import { connectTo, type Json } from '../helpers/gateway.ts'
import {
  dropFormer,
  moveInSteps,
  replicate,
  replicatedWorld,
  tracesOf,
} from '../helpers/replicated-moves.ts'

// What a move by logical replication waits for, and how that ends. PG_MAJOR=15 has pg_dump of Debian 12.

const hasTools = (await findTools()) !== undefined

const world = replicatedWorld(
  {
    'tables/t.pssql':
      'create table t (id integer primary key, n integer not null); create table other (id integer primary key);',
    'functions/put.pssql': `create or replace function put(p_id integer) returns integer language sql
      as $$ insert into t values (p_id, 1) returning id $$`,
  },
  { max_prepared_transactions: '5' },
)

const put = async (id: number) =>
  (await world.gateway.call(world.platform, 'put', [id], 'north')).status

/** A transaction of another database of the source, which a slot waits for. */
async function beginElsewhere(): Promise<Sql> {
  const sql = connectTo('gateway', 1, world.main.uri)
  await sql.unsafe("set application_name = 'elsewhere'; begin; select pg_current_xact_id()")
  return sql
}

const isThere = async () => (await world.eu1.databases()).includes(world.name)

describe.runIf(hasTools)('a move by logical replication', () => {
  test('tells which transactions it waits for, and can be stopped meanwhile', async () => {
    const sql = await beginElsewhere()
    const waiting: Json[] = []
    let stoppedAt = 0
    const lines = await moveInSteps(world.gateway.url, world, 'eu1', async (line) => {
      if (line.step !== 'waiting') return
      waiting.push(line)
      if (stoppedAt !== 0) return
      stoppedAt = performance.now()
      await world.gateway.post('/admin/move-tenant', { ...world.tenant, stop: true })
    })
    expect(performance.now() - stoppedAt).toBeLessThan(5000)
    await sql.end()
    expect(waiting[0].transactions).toEqual([
      {
        ...{ database: 'gateway', role: 'gateway', application: 'elsewhere', prepared: null },
        pid: expect.any(Number),
        for_s: expect.any(Number),
      },
    ])
    expect(lines.at(-1).message).toContain('was stopped')
    expect(await tracesOf(world)).toEqual([])
    expect(await isThere()).toBe(false)
  }, 60_000)

  test('leaves nothing that makes its slot later, where its session on the server ends', async () => {
    const { main } = world
    const sql = await beginElsewhere()
    let endedAt = 0
    const lines = await moveInSteps(world.gateway.url, world, 'eu1', async (line) => {
      if (line.step !== 'waiting' || endedAt !== 0) return
      endedAt = performance.now()
      await main.query(`select pg_terminate_backend(pid) from pg_stat_activity
        where query ~ 'from pg_prepared_xacts' and pid <> pg_backend_pid()`)
    })
    expect(lines.at(-1).status).not.toBe('moved')
    expect(performance.now() - endedAt).toBeLessThan(4000)
    const making = await main.query(
      `select from pg_stat_activity where query ~ 'create_logical_rep' and pid <> pg_backend_pid()`,
    )
    expect(making).toEqual([])
    await sql.end()
    expect(await tracesOf(world)).toEqual([])
    expect(await isThere()).toBe(false)
  }, 60_000)

  test.each([
    ['one that is open', beginElsewhere],
    [
      'one that is prepared',
      async () => {
        const sql = connectTo('gateway', 1, world.main.uri)
        await sql.unsafe("begin; select pg_current_xact_id(); prepare transaction 'mine'")
        return sql
      },
    ],
  ] as const)(
    'ends when a transaction lasts for too long: %s',
    async (what, begin) => {
      const sql = await begin()
      const refused = await replicate(world, 'eu1')
      if (what.includes('prepared')) await sql.unsafe("rollback prepared 'mine'")
      await sql.end()
      expect(refused).toMatchObject({ status: 409, body: { error: 'tenant_busy' } })
      expect(refused.body.message).toContain('have not ended within 20 s')
      const named = what.includes('prepared') ? { prepared: 'mine' } : { application: 'elsewhere' }
      expect(refused.body.transactions).toMatchObject([{ database: 'gateway', ...named }])
      expect(await tracesOf(world)).toEqual([])
      expect(await put(what.length)).toBe(200)
    },
    60_000,
  )

  test('goes on when the transaction ends', async () => {
    const sql = await beginElsewhere()
    const lines = await moveInSteps(world.gateway.url, world, 'eu1', async (line) => {
      if (line.step === 'waiting') await sql.end()
    })
    expect(lines.at(-1)).toMatchObject({ status: 'moved', how: 'replicate' })
    expect(await dropFormer(world, 'main')).toBe('dropped')
    expect((await replicate(world, 'main')).body.status).toBe('moved')
    expect(await dropFormer(world, 'eu1')).toBe('dropped')
  }, 60_000)

  test('tells an error that lasts after all tables are copied as what it is', async () => {
    const { gateway, eu1, name } = world
    const ids = Array.from({ length: 2000 }, (_, i) => 10_000 + i)
    let next = 0
    let isRunning = true
    // The copy gets a row that a later call makes, too.
    const calls = (async () => {
      while (isRunning) {
        expect(await put(ids[next++]!)).toBe(200)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    })()
    let isWritten = false
    const session = connectTo(name, 1, world.main.uri)
    await session`select`
    const lines = await moveInSteps(gateway.url, world, 'eu1', async (line) => {
      // The session keeps the first try from its end; then all tables are copied.
      if (line.step !== 'waiting' || isWritten) return
      isWritten = true
      await eu1.query(
        `insert into t select ${ids[next]} + i, 7 from generate_series(2, 50) i`,
        name,
      )
      await session.end()
    })
    isRunning = false
    await calls
    const { error, message, apply_errors, conflicts, hint } = lines.at(-1)
    expect(error).toBe('move_refused')
    expect(message).toContain('the other server could not apply a change')
    expect(hint).toContain('Nobody may write to the copy')
    expect(apply_errors).toBeGreaterThan(4)
    const [{ major }] = (await eu1.query(
      `select current_setting('server_version_num')::integer / 10000 as major`,
    )) as [Json]
    if (major >= 18) expect(conflicts.insert_exists).toBeGreaterThan(4)
    expect(await tracesOf(world)).toEqual([])
    expect(await isThere()).toBe(false)
    const [{ n }] = (await world.main.query('select count(*)::integer as n from t', name)) as [Json]
    expect(n).toBeGreaterThanOrEqual(next)
  }, 120_000)

  test('names the table that cannot be copied', async () => {
    const { eu1, name } = world
    await world.main.query('insert into other values (1)', name)
    const moving = replicate(world, 'eu1')
    // A row of somebody else as soon as the table is there.
    await expect
      .poll(
        async () => {
          try {
            await eu1.query('insert into other values (1)', name)
            return true
          } catch {
            return false
          }
        },
        { timeout: 20_000, interval: 5 },
      )
      .toBe(true)
    const { body } = await moving
    expect(body).toMatchObject({ error: 'move_refused', not_copied: ['public.other'] })
  }, 120_000)
})
