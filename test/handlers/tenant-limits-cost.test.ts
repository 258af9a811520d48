import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import {
  createAdminDatabase,
  dropAdminDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { countRoundTrips, type RoundTrips } from '../helpers/round-trips.ts'

let gateway: TestGateway
let trips: RoundTrips
let url: string
let admin: string
beforeAll(async () => {
  url = await createAdminDatabase()
  admin = parseDatabaseUrl(url).database
  trips = await countRoundTrips()
  gateway = await startTestGateway({ DATABASE_URL: trips.urlOf(admin) })
})
afterAll(async () => {
  await gateway?.stop()
  await trips.close()
  await dropAdminDatabase(url)
})

/**
 * Returns the round trips since the last time: look-ups of tenants in the catalog, and those of calls
 * in the database. New sessions and the look for changes by hand come when they do.
 */
function asked(database: string): string[] {
  const lookUps = trips.take(admin).filter((text) => text.includes(`["${database}"]`))
  const isOfCall = (text: string) => !/pg_advisory_|pg_catalog\.pg_(class|stat_get)/.test(text)
  return [...lookUps, ...trips.take(database).filter(isOfCall)]
}

test('A call asks nothing for its limits, and they come with the look-up of the tenant', async () => {
  const platform = uniqueName('p')
  const database = `${platform}_t`
  await gateway.register(platform, await pack(textFunction('ping', 'pong')), 't')
  const call = async () => {
    expect((await gateway.call(platform, 'ping', [], 't')).status).toBe(200)
  }
  await call()
  asked(database)
  for (let i = 0; i < 3; i++) await call()
  expect(asked(database)).toHaveLength(3)

  const limits = {
    max_connections: 3,
    calls_per_second: 1000,
    statement_timeout_ms: 20_000,
    read_only: true,
  }
  await gateway.post('/admin/tenants', { platform, tenant_id: 't', limits })
  await call()
  await call()
  asked(database)
  for (let i = 0; i < 3; i++) await call()
  // A call of a read-only tenant sets its transaction in the same round trip.
  expect(asked(database)).toHaveLength(3)

  // One query finds the tenant, with limits or without.
  gateway.gateway.catalog.limits.drop(database)
  gateway.gateway.catalog.forget({ platform, tenantId: 't', schema: null })
  asked(database)
  await call()
  expect(asked(database)).toHaveLength(2)
  expect(gateway.gateway.catalog.limits.of(database)).toMatchObject({ maxConnections: 3 })
})
