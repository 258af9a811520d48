import { describe, expect, test } from 'vitest'
import { afterTest } from '../../helpers/after-test.ts'
import { pack } from '../../helpers/platforms.ts'
import { eventually } from '../../helpers/process.ts'

import {
  FILES,
  pair,
  pauseReplay,
  ranOnReplica,
  resumeReplay,
  setUp,
  startForTest,
  used,
  where,
} from './setup.ts'

setUp()

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

  test('tenants that have changed names are never mistaken for each other', async () => {
    const gateway = await startForTest()
    const archive = await pack(FILES)
    const count = async (tenant: string) => {
      const { status, body } = await gateway.call('clinic', 'count_notes', [], tenant)
      expect({ status, body }).toMatchObject({ status: 200 })
      return body.rows[0].count_notes
    }
    for (const tenant of ['x', 'y']) await gateway.register('clinic', archive, tenant)
    await gateway.call('clinic', 'note', [], 'x')
    await eventually('both run on the replica', async () => {
      const [x, y] = ['x', 'y'].map((tenant) =>
        ranOnReplica(gateway.call('clinic', 'stable', [], tenant)),
      )
      return (await x) && (await y)
    })
    await pauseReplay()
    afterTest(resumeReplay)
    for (const [from, to] of [
      ['x', 'z'],
      ['y', 'x'],
      ['z', 'y'],
    ]) {
      const asked = { platform: 'clinic', tenant_id: from, to }
      expect(await gateway.post('/admin/rename-tenant', asked)).toMatchObject({ status: 200 })
    }
    for (let i = 0; i < 5; i++) expect([await count('x'), await count('y')]).toEqual([0, 1])
    await resumeReplay()
    await eventually('it runs on the replica', () =>
      ranOnReplica(gateway.call('clinic', 'stable', [], 'x')),
    )
    expect([await count('x'), await count('y')]).toEqual([0, 1])
  })
})
