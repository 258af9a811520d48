import { expect, test } from 'vitest'
import { afterTest } from '../../helpers/after-test.ts'
import { queryDatabase, startTestGateway, uniqueName } from '../../helpers/gateway.ts'
import { pack } from '../../helpers/platforms.ts'
import { eventually } from '../../helpers/process.ts'

/** A migration that uses a sequence without a value that differs from run to run. */
const FILES = {
  'migrations/001_item.pssql': `
    create table item (id bigserial primary key, name text);
    create sequence unused;
    insert into item (name) values ('first');`,
  'functions/add_item.pssql': `
    create function add_item() returns bigint language sql
    as $$ insert into item (name) values ('next') returning id $$;`,
}

test('sequences of a copied database give no value that a crash would let them give again', async () => {
  const gateway = await startTestGateway({ TEMPLATES: 'on', DATABASE_COPY: 'wal_log' })
  afterTest(() => gateway.stop())
  const platform = uniqueName('p')
  await gateway.register(platform, await pack(FILES))
  await eventually('the template', async () => {
    const [row] = await queryDatabase(
      gateway.server.database,
      `select from _db_gateway_templates
       where platform = '${platform}' and state = 'ready' and deployed_at is not null`,
      { asGateway: true },
    )
    return row
  })
  await gateway.register(platform, await pack(FILES), 'one')
  const { body } = await gateway.post('/admin/clone-tenant', {
    platform,
    tenant_id: 'one',
    to: 'two',
  })
  expect(body.status).toBe('cloned')
  for (const tenant of ['one', 'two']) {
    const database = `${platform}_${tenant}`
    // How many values PostgreSQL may give without a log record; -1: the sequence was not used.
    const logged = async (name: string) => {
      const text = `select case when is_called then log_cnt else -1 end::int as n from ${name}`
      const [row] = await queryDatabase(database, text, { asGateway: true })
      return row.n
    }
    expect(await logged('public.item_id_seq')).toBe(0)
    expect(await logged('public._db_gateway_deployments_id_seq')).toBe(0)
    expect(await logged('public.unused')).toBe(-1)
    const added = await gateway.call(platform, 'add_item', [], tenant)
    expect(added.body.rows).toEqual([{ add_item: 2 }])
  }
})
