import { afterAll, beforeAll, expect, test } from 'vitest'
import { type BehindProxy, startBehindProxy } from '../helpers/behind-proxy.ts'
import type { Json } from '../helpers/gateway.ts'
import { eventually } from '../helpers/process.ts'
import { startReceiver } from '../helpers/webhook.ts'

const receiver = await startReceiver()
let behind: BehindProxy
beforeAll(async () => {
  behind = await startBehindProxy({
    CONNECT_TIMEOUT_SECS: '1',
    WEBHOOK_URL: receiver.url,
    WEBHOOK_EVENTS: 'postgres',
  })
})
afterAll(() => behind.stop())

const lines = (text: RegExp): Json[] =>
  behind.gateway.logged.filter(({ message }) => text.test(message))

test('PostgreSQL that goes away and comes back is one line each, with the times', async () => {
  const { gateway, proxy } = behind
  const before = Date.now()
  proxy.cutNext(1_000_000)
  proxy.cut()
  const [gone] = await eventually('it is gone', () => {
    const found = lines(/is gone/)
    return found.length > 0 && found
  })
  expect(gone).toMatchObject({ level: 'warn', server: `127.0.0.1:${proxy.port}` })
  expect(gone.message).toMatch(
    /^PostgreSQL at 127\.0\.0\.1:\d+ is gone: it does not answer \(.+\)$/,
  )
  expect(Date.parse(gone.since)).toBeGreaterThan(before - 10_000)
  expect(gateway.gateway.outages.status()).toMatchObject([{ isUp: false, outages: 1 }])

  expect((await receiver.next('postgres.gone')).alert).toMatchObject({
    severity: 'critical',
    text: gone.message,
    data: { server: gone.server, since: gone.since },
  })

  proxy.cutNext(0)
  const [back] = await eventually('it is back', () => {
    const found = lines(/is back/)
    return found.length > 0 && found
  })
  expect(back).toMatchObject({ level: 'info', since: gone.since, after_s: expect.any(Number) })
  expect(back.message).toBe(`PostgreSQL at ${back.server} is back, after ${back.after_s} s`)
  expect((await receiver.next('postgres.back')).alert.text).toBe(back.message)
  expect(receiver.received).toHaveLength(2)
  const [state] = gateway.gateway.outages.status()
  expect(state).toMatchObject({ role: 'primary', isUp: true, outages: 1 })
  expect(state!.downSeconds).toBeCloseTo(back.after_s, 0)
})

test('a session that an administrator terminates is no outage', async () => {
  const { gateway } = behind
  const [{ n }] = await gateway.query(
    gateway.server.database,
    `select count(pg_terminate_backend(pid))::int as n from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid()`,
  )
  expect(n).toBeGreaterThan(0)
  await gateway.gateway.watch.look()
  await eventually('it listens again', () =>
    gateway.gateway.listener
      .use((sql) => sql`select 1`)
      .then(
        () => true,
        () => false,
      ),
  )
  await gateway.gateway.watch.look()
  expect(lines(/is gone/)).toHaveLength(1)
  expect(gateway.gateway.outages.status()).toMatchObject([{ isUp: true, outages: 1 }])
})
