import { afterAll, beforeAll, expect, test } from 'vitest'
import { Secret } from '../../lib/tenancy/secrets/secret.ts'
import {
  createAdminDatabase,
  dropAdminDatabase,
  startTestGateway,
  TEST_SECRET,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { type OtherServer, startOtherServer } from '../helpers/servers.ts'

const NEXT_SECRET = 'the next one of the tests, which hides as little'

let eu1: OtherServer
let url: string
beforeAll(async () => {
  eu1 = await startOtherServer()
  url = await createAdminDatabase()
})
afterAll(async () => {
  await dropAdminDatabase(url)
  await eu1.remove()
})

const platform = uniqueName('secret')

async function withGateway(
  env: Record<string, string>,
  work: (gateway: TestGateway) => Promise<void>,
): Promise<void> {
  const gateway = await startTestGateway({ DATABASE_URL: url, SERVERS: `eu1=${eu1.uri}`, ...env })
  try {
    await work(gateway)
  } finally {
    await gateway.stop()
  }
}

/** Calls on both servers: the sessions log in as the platform's role. */
async function checkCalls(gateway: TestGateway): Promise<void> {
  for (const tenant of [undefined, 'far']) {
    const { body } = await gateway.call(platform, 'f', [], tenant)
    expect(body.rows).toEqual([{ f: 'one' }])
  }
}

test('a new GATEWAY_SECRET comes into force on all servers', async () => {
  await withGateway({}, async (gateway) => {
    const archive = await pack(textFunction('f', 'one'))
    await gateway.register(platform, archive)
    await gateway.register(platform, archive, 'far', { server: 'eu1' })
    await checkCalls(gateway)
  })
  const next = { GATEWAY_SECRET: NEXT_SECRET }
  await withGateway({ ...next, GATEWAY_SECRET_PREVIOUS: TEST_SECRET }, async (gateway) => {
    await checkCalls(gateway)
    const inForce = async ({ catalog }: TestGateway['gateway']) => {
      const [row] = await catalog.use(
        (sql) => sql`select secret_fingerprint as f from _db_gateway_catalog`,
      )
      return row!.f
    }
    const { fingerprint } = new Secret(NEXT_SECRET)
    for (const there of gateway.gateway.servers.open()) {
      await expect.poll(() => inForce(there), { timeout: 30_000 }).toBe(fingerprint)
    }
  })
  await withGateway(next, checkCalls)
})
