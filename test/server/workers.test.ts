import { expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { connectTo, type Json, uniqueName } from '../helpers/gateway.ts'
import { eventually, startProcess } from '../helpers/process.ts'
import { notifySocket } from '../helpers/systemd.ts'
import { byWorker, newClient, samplesOf, workersOf } from '../helpers/workers.ts'
import { adminDatabase, isRunning, SLEEPER } from './setup.ts'

const MOST = 14

test('two workers are one service: connections, calls, metrics, the end of one, the end of all', async () => {
  const { path, messages } = await notifySocket()
  const databaseUrl = await adminDatabase()
  const gateway = await startProcess({
    DATABASE_URL: databaseUrl,
    WORKERS: '2',
    MAX_TOTAL_CONNECTIONS: `${MOST}`,
    MAX_CONNECTIONS_PER_POOL: '40',
    TEMPLATES: 'off',
    NOTIFY_SOCKET: path,
    WATCHDOG_USEC: '2000000',
  })
  const url = await gateway.url()
  const platform = uniqueName('workers')
  const database = `${platform}_main`
  expect(await gateway.register(platform, SLEEPER)).toMatchObject({ status: 200 })
  const clients = Array.from({ length: 16 }, () => newClient(url))
  const [first, second] = await workersOf(gateway, 2)

  // Connections of few clients are spread evenly.
  const clientsOf = await byWorker(gateway, clients, (one) => one.call(platform, 'sleepers'))
  expect(clientsOf[1]).toHaveLength(8)
  expect(clientsOf[2]).toHaveLength(8)

  // The metrics are those of both.
  const requests = '{method="POST",route="/call",status="200"}'
  const counted = () => samplesOf(url, 'db_gateway_http_requests_total')
  expect((await counted())[requests]).toBe(16)
  const { body: text } = await newClient(url).send('/metrics')
  const series = (text as string).match(/^[a-z].*(?= )/gm)!
  expect(series.filter((one, i) => series.indexOf(one) !== i)).toEqual([])
  const memory = await samplesOf(url, 'process_resident_memory_bytes')
  expect(Object.keys(memory).sort()).toEqual(['{worker="1"}', '{worker="2"}'])
  expect(await samplesOf(url, 'db_gateway_gateways')).toEqual({ '': 1 })
  expect((await newClient(url).send('/health')).body).toMatchObject({ gateways: 1, workers: 2 })

  // One worker gets nearly all connections when the other needs none, and gives them back at once.
  const databases = [database, parseDatabaseUrl(databaseUrl).database]
  const watched = watchSessions(databases)
  const asleep = async () => {
    const { body } = await clientsOf[2]![7]!.call(platform, 'sleepers')
    return body.rows[0].sleepers as number
  }
  const long = clientsOf[1]!.map((client) => client.call(platform, 'sleep', [0.7]))
  await eventually('one worker has more than its half', async () => (await asleep()) > 5)
  const both = clientsOf[2]!.slice(0, 4).map((client) => client.call(platform, 'sleep', [0.1]))
  for (const { status } of await Promise.all([...long, ...both])) expect(status).toBe(200)
  expect(await watched.most()).toBeLessThanOrEqual(MOST)

  // A call is cancelled at whichever worker the request arrives.
  for (const client of [clientsOf[1]![0]!, clientsOf[2]![0]!]) {
    const call = client.call(platform, 'sleep', [20])
    const { id } = await eventually('the call is shown', async () => {
      const { body } = await newClient(url).send('/admin/activity')
      return body.calls.find(({ function: name }: Json) => name === 'sleep')
    })
    const cancelled = await newClient(url).send('/admin/cancel-call', { id })
    expect(cancelled).toMatchObject({ status: 200, body: { cancelled: true } })
    expect(await call).toMatchObject({ status: 499 })
  }

  // A worker that is killed loses its own requests alone, and is replaced. PostgreSQL goes on with its
  // statements, which count as long as they run.
  const before = (await counted())[requests]!
  const running = [...clientsOf[1]!.slice(0, 6), clientsOf[2]![0]!].map((client) =>
    client.call(platform, 'sleep', [1.5]),
  )
  const outcomes = running.map((call) => call.then(({ status }) => status).catch(() => 'lost'))
  await eventually('all sleep', async () => (await asleep()) === 7)
  let isOver = false
  const watchedAfter = watchSessions(databases)
  process.kill(first.pid, 'SIGKILL')
  const others = Array.from({ length: 14 }, async () => {
    const client = newClient(url)
    while (!isOver) {
      expect(await client.call(platform, 'sleep', [0.2])).toMatchObject({ status: 200 })
    }
  })
  expect((await Promise.all(outcomes)).sort()).toEqual([200, ...Array(6).fill('lost')])
  isOver = true
  await Promise.all(others)
  expect(await watchedAfter.most()).toBeLessThanOrEqual(MOST)
  await eventually('the share is whole', async () => {
    return (await samplesOf(url, 'db_gateway_permits_capacity'))[''] === MOST
  })
  await eventually('another one', async () => (await workersOf(gateway, 2))[0].pid !== first.pid)
  expect((await counted())[requests]).toBeGreaterThanOrEqual(before + 5)
  const warnings = gateway.entries().filter(({ message }) => /has ended|start/.test(message))
  expect(warnings.map(({ message }) => message)).toEqual([
    'Worker 1 has ended (SIGKILL): another one starts now',
  ])

  // systemd hears of one service.
  await eventually('WATCHDOG=1', () => messages().some((one) => 'WATCHDOG' in one))
  expect(messages().filter((one) => 'READY' in one)).toEqual([
    { READY: '1', STATUS: expect.stringMatching(/^\d+ of 14 connections, 0 deploys$/) },
  ])

  // A parent that is killed leaves nothing behind.
  const pids = (await workersOf(gateway, 2)).map(({ pid }: Json) => pid)
  expect(pids).toContain(second.pid)
  gateway.kill('SIGKILL')
  await eventually('no worker is left', () => !pids.some((pid: number) => isRunning(pid)))
}, 60_000)

/** Watches how many sessions the gateway has in these databases. */
function watchSessions(databases: string[]) {
  const sql = connectTo('postgres')
  const held: number[] = []
  const timer = setInterval(async () => {
    const [row] = await sql<{ n: number }[]>`
      select count(*)::int as n from pg_stat_activity
      where application_name = 'db-gateway' and datname = any (${databases})
    `
    held.push(row!.n)
  }, 20)
  return {
    async most() {
      clearInterval(timer)
      await sql.end()
      expect(held.length).toBeGreaterThan(5)
      return Math.max(...held)
    },
  }
}

test('workers that would have too few connections are not started', async () => {
  const gateway = await startProcess({
    DATABASE_URL: 'postgres://user@127.0.0.1:1/none',
    WORKERS: '4',
    MAX_TOTAL_CONNECTIONS: '15',
  })

  expect(await gateway.exit).toEqual({ code: 1, signal: null })
  expect(gateway.entries().map(({ message }) => message)).toEqual([
    'MAX_TOTAL_CONNECTIONS: 15 is too few for 4 workers (WORKERS): each needs 4',
  ])
})
