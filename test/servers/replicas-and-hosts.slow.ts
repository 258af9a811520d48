import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestGateway, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'
import { type ReplicationPair, startReplication, urlOfHosts } from '../helpers/replication.ts'
import { samplesOf } from '../helpers/workers.ts'

const FILES: Files = {
  'migrations/001_notes.pssql': 'create table notes (id integer);',
  'functions/note.pssql': `create or replace function note(p_id integer) returns integer language sql
    as $$ insert into notes values (p_id) returning id $$;`,
  'functions/on_replica.pssql': `create or replace function on_replica() returns boolean
    language plpgsql stable as $$ begin return pg_is_in_recovery(); end $$;`,
  'functions/nap.pssql': `create or replace function nap() returns integer language sql
    as $$ insert into notes values (0); select 1 from pg_sleep(0.2) $$;`,
}
const MOST = 7

const platform = uniqueName('hosts')
let pair: ReplicationPair
let gateway: TestGateway
beforeAll(async () => {
  pair = await startReplication()
  gateway = await startTestGateway({
    SERVERS: `eu1=${await urlOfHosts([pair.primary, pair.standby], 'hosts')}`,
    SERVER_READ_URLS: `eu1=${await pair.standby.url('hosts-reads')}`,
    SERVER_MAX_CONNECTIONS: `eu1=${MOST}`,
  })
  const archive = await pack(FILES)
  await gateway.register(platform, archive)
  for (const tenant of ['a', 'b', 'c']) {
    expect(await gateway.register(platform, archive, tenant, { server: 'eu1' })).toMatchObject({
      status: 200,
    })
  }
})
afterAll(async () => {
  await gateway.stop()
  await pair.end()
})

const call = (name: string, tenant?: string, params: unknown[] = []) =>
  gateway.call(platform, name, params, tenant)
const rowOf = async (name: string, tenant?: string, params?: unknown[]) =>
  (await call(name, tenant, params)).body.rows?.[0][name]

describe('a server of SERVERS', () => {
  test('has replicas of its own (SERVER_READ_URLS)', async () => {
    await expect.poll(() => rowOf('on_replica', 'a'), { timeout: 20_000 }).toBe(true)
    expect(await rowOf('on_replica')).toBe(false)
    const { body } = await gateway.get('/health')
    expect(body.servers.map(({ replicas }: { replicas: unknown[] }) => replicas.length)).toEqual([
      0, 1,
    ])
  })

  test('has a budget of its own (SERVER_MAX_CONNECTIONS)', async () => {
    expect(await samplesOf(gateway.url, 'db_gateway_permits_capacity')).toMatchObject({
      '{server="eu1"}': MOST,
    })
    const held: number[] = []
    let isOver = false
    const looking = (async () => {
      while (!isOver) {
        const [row] = await pair.primary.query(
          `select count(*)::int as n from pg_stat_activity where application_name = 'hosts'`,
        )
        held.push(row.n)
      }
    })()
    const naps = Array.from({ length: 24 }, (_, i) => call('nap', ['a', 'b', 'c'][i % 3]))
    for (const { status } of await Promise.all(naps)) expect(status).toBe(200)
    isOver = true
    await looking
    expect(Math.max(...held)).toBe(MOST)
  })

  test('has hosts for a failover, of which those of main notice nothing', async () => {
    expect(await rowOf('note', 'a', [1])).toBe(1)
    const [{ lsn }] = await pair.primary.query('select pg_current_wal_lsn()::text as lsn')
    const has = async () =>
      (await pair.standby.query(`select pg_last_wal_replay_lsn() >= '${lsn}' as has`))[0].has
    await expect.poll(has, { timeout: 20_000 }).toBe(true)
    pair.primary.freeze()
    let isOver = false
    const beside = (async () => {
      while (!isOver) expect(await rowOf('note', undefined, [1])).toBe(1)
    })()
    try {
      await pair.standby.query('select pg_promote()')
      await expect.poll(() => rowOf('note', 'a', [2]), { timeout: 20_000 }).toBe(2)
      await expect.poll(() => rowOf('note', 'b', [2]), { timeout: 20_000 }).toBe(2)
      isOver = true
      await beside
      const ids = `select id from notes where id > 0 order by id`
      const rows = await pair.standby.query(ids, `${platform}_a`)
      expect(rows.map(({ id }) => id)).toEqual([1, 2])
    } finally {
      isOver = true
      pair.primary.thaw()
    }
  })
})
