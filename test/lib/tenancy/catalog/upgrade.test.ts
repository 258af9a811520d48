import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  createAdminDatabase,
  dropAdminDatabase,
  queryDatabase,
  startTestGateway,
  uniqueName,
} from '../../../helpers/gateway.ts'
import { pack, textFunction } from '../../../helpers/platforms.ts'

let url: string
beforeAll(async () => {
  url = await createAdminDatabase()
})
afterAll(() => dropAdminDatabase(url))

test('A catalog of before gets what schemas and tenants need; its version rises with the first that is made, suspended or limited', async () => {
  const platform = uniqueName('before')
  const archive = await pack(textFunction('ping', 'pong'))
  const old = await startTestGateway({ DATABASE_URL: url })
  const { database } = old.server
  const query = (text: string) => queryDatabase(database, text, { asGateway: true })
  await old.register(platform, archive)
  await old.stop()
  await query(`
    alter table _db_gateway_databases
      drop constraint _db_gateway_databases_platform_schema_name_tenant_id_key,
      drop column schema_name,
      drop column stored_schema,
      drop column stored_before,
      drop column made_by,
      drop column labels,
      drop column suspended_at,
      drop column suspended_message,
      drop column retry_after_s,
      drop column drop_at,
      drop column drop_dump,
      drop column limits,
      drop column held_until,
      drop column held_for,
      drop column held_retry_s,
      drop column renamed_from,
      drop column renamed_at,
      add unique nulls not distinct (platform, tenant_id);
    alter table _db_gateway_archives drop column schema_name;
    alter table _db_gateway_deployments drop column schema_name;
    alter table _db_gateway_audit drop column schema_name;
    drop table _db_gateway_call_minutes, _db_gateway_call_hours, _db_gateway_slow_calls;
    drop table _db_gateway_platforms, _db_gateway_schemas, _db_gateway_schema_archives;
  `)
  const version = async () => (await query('select version from _db_gateway_catalog'))[0].version

  const gateway = await startTestGateway({ DATABASE_URL: url })
  try {
    expect((await gateway.call(platform, 'ping')).body.rows).toEqual([{ ping: 'pong' }])
    expect(await version()).toBe(1)
    const owner = { schema_name: 'hr' }
    const { body } = await gateway.register(platform, archive, undefined, owner)
    expect(body).toMatchObject({ status: 'ready', database: `${platform}_hr` })
    expect(await version()).toBe(2)

    const tenant = { platform, tenant_id: 't' }
    const made = await gateway.post('/admin/create-tenant', { ...tenant, labels: { plan: 'pro' } })
    expect([made.status, await version()]).toEqual([201, 2])
    expect((await gateway.post('/admin/suspend-tenant', tenant)).status).toBe(200)
    expect(await version()).toBe(3)
    const limits = { max_connections: 3 }
    expect((await gateway.post('/admin/tenants', { ...tenant, limits })).body.limits).toEqual(
      limits,
    )
    expect(await version()).toBe(4)
  } finally {
    await gateway.stop()
  }
})
