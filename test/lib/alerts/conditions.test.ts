import { expect, test } from 'vitest'
import { startOneGateway } from '../../helpers/for-file.ts'
import { uniqueName } from '../../helpers/gateway.ts'
import { eventually } from '../../helpers/process.ts'
import { startReceiver } from '../../helpers/webhook.ts'

const receiver = await startReceiver()
const gateway = await startOneGateway({ WEBHOOK_URL: receiver.url })
const { alerts, unreachable } = gateway.gateway.alerts
const platform = uniqueName('told')
const { database: catalog } = gateway.server

const quiet = () => eventually('nothing is on its way', () => alerts.waiting === 0)
/** Texts of the alerts about tenants since `from`, without the name of the platform. */
const tenantTexts = () =>
  receiver.received
    .filter(({ alert }) => alert.type.startsWith('tenant.'))
    .map(({ alert }) => alert.text.replaceAll(platform, 'x'))

/** Makes these the tenants whose databases are missing, and has the gateway look. */
async function missing(count: number): Promise<void> {
  await gateway.query(
    catalog,
    `delete from _db_gateway_databases where platform = '${platform}';
     insert into _db_gateway_databases (database, platform, tenant_id)
     select '${platform}_' || i, '${platform}', i::text from generate_series(1, ${count}) i`,
  )
  // What is missing at one look alone may be in the making.
  await unreachable.look()
  await unreachable.look()
  await quiet()
}

/** Lets two minutes pass, as far as the catalog knows. */
const later = () =>
  gateway.query(catalog, `update _db_gateway_alerts set told_at = told_at - interval '2 minutes'`)

test('an outage of many tenants is told once, then its end, and the next one', async () => {
  await missing(11)
  await missing(12)
  await missing(0)
  await later()
  await missing(12)
  await missing(2)
  await later()
  await missing(11)
  await missing(0)
  await later()
  await missing(1)
  expect(tenantTexts()).toEqual([
    '11 databases take no connections',
    '12 databases take connections again',
    '12 databases take no connections',
    '10 databases take connections again; 2 still take none',
    'Database x_1 takes no connections: it does not exist',
    'Database x_2 takes no connections: it does not exist',
    '11 databases take no connections',
    '11 databases take connections again',
    'Database x_1 takes no connections: it does not exist',
  ])
  const open = await gateway.query(
    catalog,
    `select key from _db_gateway_alerts where is_open and key like 'tenant%'`,
  )
  expect(open).toEqual([{ key: `tenant:${platform}_1` }])
})
