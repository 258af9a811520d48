import { expect, test } from 'vitest'
import { startOneGateway } from '../../helpers/for-file.ts'
import { uniqueName } from '../../helpers/gateway.ts'
import { pack } from '../../helpers/platforms.ts'
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

test('an outage is told though WEBHOOK_EVENTS left out the end of the one before', async () => {
  const key = uniqueName('tenant')
  const begin = { type: 'tenant.unreachable', key, text: 'gone', data: {} } as const
  const end = { type: 'tenant.reachable', text: 'here', data: {} } as const
  const { config } = gateway.gateway
  const { webhookEvents } = config
  config.webhookEvents = ['tenant.unreachable']
  try {
    for (const text of ['first', 'second']) {
      alerts.begin({ ...begin, text })
      await quiet()
      alerts.end(key, end)
      await eventually('its end is in the catalog', async () => {
        const [row] = await gateway.query(
          catalog,
          `select is_open from _db_gateway_alerts where key = '${key}'`,
        )
        return row?.is_open === false
      })
      await later()
    }
  } finally {
    config.webhookEvents = webhookEvents
  }
  const told = receiver.received.filter(({ alert }) => alert.key === key)
  expect(told.map(({ alert }) => alert.text)).toEqual(['first', 'second'])
})

test('each deploy that fails is told, but the same one again only after a success', async () => {
  const deployed = uniqueName('deployed')
  const register = async (body: string) => {
    const file = `create function f() returns int language sql as $$ select ${body} $$;`
    return (await gateway.register(deployed, await pack({ 'functions/f.pssql': file }))).status
  }
  expect(await register('nope')).toBe(422)
  expect(await register('nope')).toBe(422)
  expect(await register('nope_either')).toBe(422)
  expect(await register('1')).toBe(200)
  expect(await register('nope_either')).toBe(422)
  await quiet()
  const told = receiver.received.filter(({ alert }) => alert.type.startsWith('deploy.'))
  expect(told.map(({ alert }) => alert.type)).toEqual([
    'deploy.failed',
    'deploy.failed',
    'deploy.finished',
    'deploy.failed',
  ])
  const [first, second, , last] = told.map(({ alert }) => alert.data.summary.checksum)
  expect(last).toBe(second)
  expect(first).not.toBe(second)
})

test('a primary that comes back from another host is told each time', async () => {
  const { alerts: all } = gateway.gateway
  all.moved('a:5432', 'b:5432')
  all.moved('a:5432', 'b:5432')
  all.moved('b:5432', 'c:5432')
  all.moved('c:5432', 'b:5432')
  await quiet()
  expect(receiver.of('postgres.moved').map(({ key }) => key)).toEqual([
    'primary moved to b:5432',
    'primary moved to c:5432',
    'primary moved to b:5432',
  ])
})
