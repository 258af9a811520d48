import { expect, test } from 'vitest'
import { afterTest } from '../helpers/after-test.ts'
import { findTools } from '../helpers/dumps.ts'
import { startTestGateway, uniqueName } from '../helpers/gateway.ts'
import { startAlikeServer } from '../helpers/major-servers.ts'
import { pack } from '../helpers/platforms.ts'

// PG_MAJOR=15 has pg_dump and pg_restore of Debian 12.
const hasTools = (await findTools()) !== undefined

const TABLES = Array.from({ length: 20 }, (_, i) => `t${i}`)

const FILES = {
  'tables/all.pssql': TABLES.map(
    (name) =>
      `create table ${name} (id bigint generated always as identity primary key, n integer);`,
  ).join('\n'),
  'functions/write.pssql': `create or replace function write() returns bigint language sql as $$
    ${TABLES.map((name) => `insert into ${name} (n) values (1)`).join('; ')} returning id $$`,
}

test.runIf(hasTools)(
  'tenants with many tables that are moved at once wait for the slots of the server that they go to',
  async () => {
    const main = await startAlikeServer({ wal_level: 'logical', max_replication_slots: '20' })
    afterTest(() => main.remove())
    const eu1 = await startAlikeServer({ wal_level: 'logical', max_replication_slots: '8' })
    afterTest(() => eu1.remove())
    for (const server of [main, eu1]) await server.query('alter role gateway superuser')
    const gateway = await startTestGateway({
      DATABASE_URL: main.uri,
      SERVERS: `eu1=${eu1.uri}`,
    })
    afterTest(() => gateway.stop())
    const platform = uniqueName('many')
    const tenants = ['north', 'south']
    for (const tenant of tenants) await gateway.register(platform, await pack(FILES), tenant)
    let isRunning = true
    const statuses = new Set<number>()
    const calls = tenants.map(async (tenant) => {
      while (isRunning) statuses.add((await gateway.call(platform, 'write', [], tenant)).status)
    })
    const moves = await Promise.all(
      tenants.map((tenant_id) =>
        gateway.post('/admin/move-tenant', { platform, tenant_id, to: 'eu1', how: 'replicate' }),
      ),
    )
    isRunning = false
    await Promise.all(calls)
    expect(moves.map(({ body }) => body.status ?? body)).toEqual(['moved', 'moved'])
    expect([...statuses]).toEqual([200])
  },
  120_000,
)
