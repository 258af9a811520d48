import { describe, expect, test } from 'vitest'
import { afterTest } from '../helpers/after-test.ts'
import {
  createAdminDatabase,
  dropAdminDatabase,
  startTestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { HAPROXY_CFG, hasHaproxy, startHaproxy } from '../helpers/haproxy.ts'
import { pack } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'
import { run } from '../helpers/prometheus.ts'
import { startClients } from '../helpers/restarts.ts'

const FILES = {
  'functions/send_back.pssql': `
    create or replace function send_back(number integer) returns integer language sql
    as $$ select number $$;`,
}

describe.runIf(hasHaproxy())('deploy/haproxy.cfg', () => {
  test('is good, and says nothing that HAProxy warns of', async () => {
    const { stdout, stderr } = await run('haproxy', ['-c', '-f', HAPROXY_CFG])
    expect(stdout).toContain('Configuration file is valid')
    expect(stderr).not.toMatch(/WARNING|ALERT/)
  })

  test('a gateway is stopped and started again under load without a failed request', async () => {
    const url = await createAdminDatabase()
    afterTest(() => dropAdminDatabase(url))
    const start = async (port = '0') => {
      const gateway = await startTestGateway({
        DATABASE_URL: url,
        GATEWAY_PORT: port,
        TRUSTED_PROXIES: '127.0.0.1',
        SHUTDOWN_DELAY_SECS: '2',
      })
      afterTest(() => gateway.stop())
      return gateway
    }
    const [one, two] = [await start(), await start()]
    const platform = uniqueName('behind')
    await one.register(platform, await pack(FILES))
    const ports = [one, two].map((gateway) => Number(new URL(gateway.url).port))
    const haproxy = await startHaproxy(ports)
    const clients = [
      startClients(haproxy.port, platform, { count: 4, keepAlive: true, pauseMs: 5 }),
      startClients(haproxy.port, platform, { count: 2, keepAlive: false, pauseMs: 20 }),
    ]
    const served = async () => {
      const before = clients.map(({ answered }) => answered())
      await eventually('all are served', () =>
        clients.every(({ answered }, i) => answered() > before[i]! + 20),
      )
    }
    await served()
    await one.retire()
    expect(await haproxy.states()).toEqual(['DOWN', 'UP'])
    await one.stop()
    await served()
    await start(`${ports[0]}`)
    await haproxy.until('UP', 'UP')
    await served()
    for (const client of clients) await client.stop()
    expect(clients.flatMap(({ lost }) => lost())).toEqual([])
    const calls = two.logged.filter(({ path }) => path === '/call')
    expect(calls.length).toBeGreaterThan(20)
  })
})
