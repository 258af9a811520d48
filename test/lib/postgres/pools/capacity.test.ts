import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { usableConnections } from '../../../../lib/postgres/pools/capacity.ts'
import { startTestGateway, type TestGateway } from '../../../helpers/gateway.ts'

const warningsOfConnections = ({ logged }: TestGateway) =>
  logged.filter(
    ({ level, message }) => level === 'warn' && String(message).includes('MAX_TOTAL_CONNECTIONS'),
  )

describe('a server with fewer connections than MAX_TOTAL_CONNECTIONS', () => {
  let gateway: TestGateway
  beforeAll(async () => {
    gateway = await startTestGateway({ MAX_TOTAL_CONNECTIONS: '100000' })
  })
  afterAll(() => gateway.stop())

  test('is what counts, and the log says so with the numbers', async () => {
    const [server] = await gateway.query(
      gateway.server.database,
      `select current_setting('max_connections')::int as max,
         current_setting('superuser_reserved_connections')::int
           + coalesce(current_setting('reserved_connections', true)::int, 0) as reserved`,
    )
    const usable = server.max - server.reserved
    expect(gateway.gateway.pools.report().permits.capacity).toBe(usable)
    expect(warningsOfConnections(gateway)).toMatchObject([
      {
        message: `MAX_TOTAL_CONNECTIONS is 100000, but PostgreSQL has only ${usable} connections for the gateway: it opens at most ${usable}`,
        max_connections: server.max,
        reserved_connections: server.reserved,
      },
    ])
  })
})

test('a server that has enough is not mentioned', async () => {
  const gateway = await startTestGateway({ MAX_TOTAL_CONNECTIONS: '20' })
  expect(gateway.gateway.pools.report().permits.capacity).toBe(20)
  expect(warningsOfConnections(gateway)).toEqual([])
  await gateway.stop()
})

test.each([
  [{ maxConnections: 100, reserved: 3, roleLimit: -1 }, 97],
  [{ maxConnections: 100, reserved: 3, roleLimit: 40 }, 40],
  [{ maxConnections: 100, reserved: 3, roleLimit: 99 }, 97],
])('of %j the gateway can use %i', (capacity, usable) => {
  expect(usableConnections(capacity)).toBe(usable)
})
