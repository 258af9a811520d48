import { describe, expect, test } from 'vitest'
import { connectTo, databaseUrlOf, queryDatabase, startTestGateway } from '../../helpers/gateway.ts'
import { pack } from '../../helpers/platforms.ts'

import { BASE, gateway, migration, newPlatform, setUp } from './setup.ts'

setUp()

describe('a migration that runs outside of a transaction', () => {
  const concurrently =
    '-- gateway: no-transaction\ncreate index concurrently item_name on item (name);\n' +
    'create index concurrently item_price on item (price);'

  test('may create an index concurrently', async () => {
    const { database, deploy } = await newPlatform()
    const { body } = await deploy({
      ...migration(concurrently),
      'migrations/003_after.pssql': 'alter table item add column later int;',
    })
    expect(body).toMatchObject({ status: 'ready', migrations_applied: 2 })
    const rows = await queryDatabase(
      database,
      'select migration_file, status from _db_gateway_migrations order by id',
    )
    expect(rows).toEqual([
      { migration_file: '001_item.pssql', status: 'applied' },
      { migration_file: '002_next.pssql', status: 'applied' },
      { migration_file: '003_after.pssql', status: 'applied' },
    ])
    const indexes = await queryDatabase(
      database,
      `select indexname from pg_indexes where tablename = 'item' order by 1`,
    )
    expect(indexes.map((row) => row.indexname)).toEqual(['item_name', 'item_pkey', 'item_price'])
  })

  test('that fails half way stands in the ledger, and the next deploy says what to do', async () => {
    const { database, deploy } = await newPlatform()
    const half =
      '-- gateway: no-transaction\ncreate index concurrently item_name on item (name);\n' +
      'create index concurrently broken on item (no_such_column);'
    const failed = await deploy(migration(half))
    expect(failed.status).toBe(422)
    expect(failed.body).toMatchObject({
      error: 'migration_failed',
      file: 'migrations/002_next.pssql',
      line: 3,
      sqlstate: '42703',
    })
    expect(failed.body.hint).toContain('repair=true')
    expect(
      await queryDatabase(
        database,
        `select status, error from _db_gateway_migrations where migration_file = '002_next.pssql'`,
      ),
    ).toEqual([{ status: 'begun', error: 'column "no_such_column" does not exist' }])

    const next = await deploy(migration(half))
    expect(next.status).toBe(422)
    expect(next.body.message).toBe('Migration 002_next.pssql was begun and not finished')
    expect(next.body.cause).toContain('no_such_column')
    expect(next.body.hint).toContain('repair=true')

    await queryDatabase(database, 'create index broken on item (price)')
    expect((await deploy(migration(half), { repair: 'true' })).body).toMatchObject({
      status: 'ready',
      migrations_repaired: ['002_next.pssql'],
    })
    expect((await deploy(migration(half))).body).toMatchObject({ status: 'ready' })
  })

  test('does not hang where another gateway waits for its turn', async () => {
    const { platform, deploy } = await newPlatform()
    const other = await startTestGateway({ DATABASE_URL: databaseUrlOf(gateway.server.database) })
    try {
      const archive = await pack({ ...BASE, ...migration(concurrently) })
      const answers = await Promise.all([
        deploy(migration(concurrently)),
        other.register(platform, archive),
      ])
      expect(answers.map((answer) => answer.body.status)).toEqual(['ready', 'ready'])
    } finally {
      await other.stop()
    }
  })

  test('is named by an unknown word after "gateway:"', async () => {
    const { deploy } = await newPlatform()
    const { body } = await deploy(migration('-- gateway: no-transactions\nselect 1;'))
    expect(body.warnings.join()).toContain('"-- gateway: no-transactions" is not a directive')
  })
})

describe('a migration that waits for a lock', () => {
  test('gives up, lets live traffic through, and tries again', async () => {
    const { database, deploy } = await newPlatform()
    const holder = connectTo(database)
    await holder.unsafe('begin; select * from item')
    const deploying = deploy(migration('alter table item add column late int;'))
    // While the deploy waits its turn, others read the table within the lock timeout.
    await new Promise((resolve) => setTimeout(resolve, 1200))
    const started = performance.now()
    expect(await queryDatabase(database, 'select count(*)::int as n from item')).toEqual([{ n: 1 }])
    expect(performance.now() - started).toBeLessThan(1500)
    await holder.unsafe('commit')
    expect((await deploying).body).toMatchObject({ status: 'ready', migrations_applied: 1 })
    await holder.end()
  })

  test('ends in an error when the lock never comes, with everything as before', async () => {
    const { database, deploy } = await newPlatform()
    const holder = connectTo(database)
    await holder.unsafe('begin; lock table item in access share mode')
    const { status, body } = await deploy(
      migration('drop table spare; alter table item add x int;'),
    )
    expect(status).toBe(422)
    expect(body).toMatchObject({ error: 'migration_failed', sqlstate: '55P03' })
    await holder.unsafe('commit')
    await holder.end()
    expect(await queryDatabase(database, `select to_regclass('spare')::text as t`)).toEqual([
      { t: 'spare' },
    ])
  }, 30_000)
})
