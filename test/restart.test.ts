import { describe, expect, it } from 'vitest'
import { afterTest } from './helpers/after-test.ts'
import { createAdminDatabase, dropAdminDatabase, uniqueName } from './helpers/gateway.ts'
import type { Files } from './helpers/platforms.ts'
import { call, eventually, type GatewayProcess, register, startProcess } from './helpers/process.ts'
import { type Clients, holdSocket, startClients } from './helpers/restarts.ts'

const PLATFORM_FILES: Files = {
  'functions/send_back.pssql': `
    create or replace function send_back(number integer) returns integer language sql
    as $$ select number $$;`,
  'functions/sleep.pssql': `
    create or replace function sleep(seconds double precision) returns text language sql
    as $$ select 'slept' from pg_sleep(seconds) $$;`,
  'functions/sleepers.pssql': `
    create or replace function sleepers() returns integer language sql
    as $$ select count(*)::integer from pg_stat_activity
          where datname = current_database() and wait_event = 'PgSleep' $$;`,
}

const RESTARTS = 3

/** Each restart takes some seconds where the cores are busy with other things. */
const LONG_MS = 180_000

/** A socket that is held, with a first gateway on it and a platform in its database. */
async function startHeld() {
  const socket = holdSocket()
  const databaseUrl = await createAdminDatabase()
  afterTest(() => dropAdminDatabase(databaseUrl))
  // No port: it could not be listened on if the socket were not taken.
  const start = () =>
    startProcess({ DATABASE_URL: databaseUrl, GATEWAY_PORT: '1' }, undefined, socket.fd)
  const gateway = await start()
  const url = await gateway.url()
  expect(new URL(url).port).toBe(`${socket.port}`)
  const platform = uniqueName('restart')
  expect(await register(url, platform, PLATFORM_FILES)).toMatchObject({ status: 200 })
  return { socket, start, gateway, url, platform }
}

/** Clients of three kinds: with keep-alive, busy and not; and a connection a request. */
function startAllClients(port: number, platform: string): Clients[] {
  return [
    startClients(port, platform, { count: 6, keepAlive: true, pauseMs: 0 }),
    startClients(port, platform, { count: 6, keepAlive: true, pauseMs: 50 }),
    startClients(port, platform, { count: 6, keepAlive: false, pauseMs: 10 }),
  ]
}

/** Every client of each kind has some more answers. */
async function serveSome(clients: Clients[]): Promise<void> {
  const before = clients.map(({ answered }) => answered())
  await eventually('all clients are served', () =>
    clients.every(({ answered }, i) => answered() > before[i]! + 50),
  )
}

async function expectNothingLost(clients: Clients[]): Promise<void> {
  for (const client of clients) await client.stop()
  expect(clients.flatMap(({ lost }) => lost())).toEqual([])
}

function callsIn(gateway: GatewayProcess): number {
  return gateway.entries().filter(({ path, status }) => path === '/call' && status === 200).length
}

describe('on a socket that somebody else holds', () => {
  it(
    'is stopped and started again under load without a lost request',
    async () => {
      const { socket, start, gateway, url, platform } = await startHeld()
      const clients = startAllClients(socket.port, platform)
      const gateways = [gateway]
      for (let i = 0; i < RESTARTS; i++) {
        await serveSome(clients)
        const last = gateways.at(-1)!
        const slow = call(url, platform, 'sleep', [1])
        await eventually('the slow call runs', async () => {
          const { body } = await call(url, platform, 'sleepers')
          return body.rows[0].sleepers === 1
        })
        last.kill('SIGTERM')
        expect(await last.exit).toEqual({ code: 0, signal: null })
        expect(await slow).toMatchObject({ status: 200, body: { rows: [{ sleep: 'slept' }] } })
        gateways.push(await start())
      }
      await serveSome(clients)

      await expectNothingLost(clients)
      for (const each of gateways) expect(callsIn(each)).toBeGreaterThan(50)
    },
    LONG_MS,
  )

  it(
    'drains while the next one answers already, without a lost request',
    async () => {
      const { socket, start, gateway, platform } = await startHeld()
      const clients = startAllClients(socket.port, platform)
      let last = gateway
      for (let i = 0; i < RESTARTS; i++) {
        await serveSome(clients)
        const next = await start()
        await next.url()
        last.kill('SIGTERM')
        expect(await last.exit).toEqual({ code: 0, signal: null })
        last = next
      }
      await serveSome(clients)

      await expectNothingLost(clients)
    },
    LONG_MS,
  )

  it('keeps who connects between two processes waiting for the second', async () => {
    const { start, gateway, url, platform } = await startHeld()
    gateway.kill('SIGTERM')
    await gateway.exit

    const answer = call(url, platform, 'send_back', [7])
    await start()

    expect(await answer).toMatchObject({ status: 200, body: { rows: [{ send_back: 7 }] } })
  })

  it('is not taken by a process that it is not meant for', async () => {
    const databaseUrl = await createAdminDatabase()
    afterTest(() => dropAdminDatabase(databaseUrl))

    const gateway = await startProcess({
      DATABASE_URL: databaseUrl,
      LISTEN_FDS: '1',
      LISTEN_PID: `${process.pid}`,
    })

    expect(await gateway.get('/health')).toMatchObject({ status: 200 })
  })

  it('has to be one: two stop the start with a line that says so', async () => {
    const socket = holdSocket()
    const gateway = await startProcess({ LISTEN_FDS: '2' }, undefined, socket.fd)

    expect(await gateway.exit).toEqual({ code: 1, signal: null })
    expect(gateway.entries()).toMatchObject([
      { message: 'LISTEN_FDS: the gateway listens on one socket and was passed 2' },
    ])
  })
})
