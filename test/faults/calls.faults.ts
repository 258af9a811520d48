import { chown, mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type postgres from 'postgres'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import type { Json } from '../helpers/gateway.ts'
import { Load } from './calls-load.ts'
import { SETTINGS } from './calls-platform.ts'
import { judge, type Line, tableOf } from './calls-verdict.ts'
import { CallsWorld } from './calls-world.ts'
import { MortalPostgres } from './postgres.ts'
import { Random } from './random.ts'
import { registerProcess } from './setup.ts'
import { mountSmallDisk, SMALL_DISK_BYTES, smallDiskOf } from './small-disk.ts'

const SEED = Number(process.env.FAULTS_SEED || Date.now() % 1_000_000)
const PAUSE_MS = Number(process.env.FAULTS_PAUSE_SECS || 6) * 1000

const PLATFORM = 'calls'
const TENANTS = Array.from({ length: 8 }, (_, i) => `t${i + 1}`)
const [VICTIM] = TENANTS as [string]
const CLIENTS = 24

/** How long it is called before a fault, and after it. */
const AROUND_MS = 1500
/**
 * Until calls succeed again. The promise is 2 s, of a machine that has nothing else to do, and where
 * no connection is being opened that has to fail first (CONNECT_TIMEOUT_SECS).
 */
const BACK_MS = 5000
/** What RSS may have grown by; what leaks does so with every fault. */
const RSS_MEBIBYTES = 80

interface Fault {
  name: string
  /** Returns when PostgreSQL is there again. */
  strike(world: CallsWorld): Promise<void>
  /** Answers that say in their own way that nothing has run. */
  isAllowed?: (reply: Json) => boolean
  /** The tenant whose rows are lost. */
  forgetful?: string
  settings?: Record<string, string>
}

const folder = inject('faultsFolder')
const random = new Random(SEED)
const lines: Line[] = []
let server: MortalPostgres
let world: CallsWorld

beforeAll(async () => {
  console.log(`FAULTS_SEED=${SEED} FAULTS_PAUSE_SECS=${PAUSE_MS / 1000}`)
  process.env.TMPDIR = folder
  registerProcess(folder, process.pid)
  server = await MortalPostgres.start(folder, { max_connections: '60' })
})

afterAll(async () => {
  console.log(`\nFAULTS_SEED=${SEED}: ${CLIENTS} clients\n${tableOf(lines)}\n`)
  await server?.stop()
})

afterEach(() => world?.stop())

/** Strikes while clients call without a pause, and looks what became of every call. */
async function strikeUnderLoad(fault: Fault): Promise<void> {
  const { name, isAllowed, forgetful } = fault
  world = await CallsWorld.start(server, folder, { ...SETTINGS, ...fault.settings })
  await world.register(PLATFORM, TENANTS)
  const { url } = world
  const options = { url, platform: PLATFORM, tenants: TENANTS, clients: CLIENTS, random, isAllowed }
  const id = name.replaceAll(/\W+/g, '_')
  await warmUp(new Load({ ...options, name: `${id}-before` }))
  const rssBefore = await world.rss()

  const load = new Load({ ...options, name: `${id}-${world.proxy.port}` })
  await sleep(AROUND_MS)
  await fault.strike(world)
  const backAt = performance.now()
  await untilAllSucceed(load)
  const backMs = performance.now() - backAt
  await sleep(AROUND_MS)
  const made = await load.stop()

  const verdict = await judge(server, PLATFORM, made, forgetful)
  const connections = await world.withoutLeak()
  const rss = [rssBefore, await world.rss()]
  lines.push({ name, verdict, backMs, connections, rss })
  expect(world.bugs()).toEqual([])
  expect(backMs).toBeLessThan(BACK_MS)
  expect(rss[1]! - rss[0]!).toBeLessThan(RSS_MEBIBYTES)
  expect(verdict.outcomes.get('right')).toBeGreaterThan(CLIENTS)
}

/** So that memory is what it is under load, and functions are known to be quick. */
async function warmUp(load: Load): Promise<void> {
  await sleep(AROUND_MS)
  const made = await load.stop()
  expect(made.filter(({ outcome }) => outcome !== 'right')).toEqual([])
}

/** Calls each tenant until that succeeds. */
async function untilAllSucceed(load: Load): Promise<void> {
  const giveUpAt = performance.now() + 30_000
  await Promise.all(
    TENANTS.map(async (tenant) => {
      while ((await load.callOnce(tenant)).outcome !== 'right') {
        if (performance.now() > giveUpAt) throw new Error(`${tenant} is not back`)
        await sleep(20)
      }
    }),
  )
}

const FAULTS: Fault[] = [
  {
    name: 'PostgreSQL: fast restart',
    strike: async () => {
      await server.kill('SIGINT')
      await server.start()
    },
  },
  {
    name: 'PostgreSQL: immediate restart',
    strike: async () => {
      await server.kill('SIGQUIT')
      await server.start()
    },
  },
  {
    name: 'PostgreSQL: SIGKILL, down for 1 s',
    strike: async () => {
      await server.kill('SIGKILL')
      await sleep(1000)
      await server.start()
    },
  },
  {
    name: `PostgreSQL: SIGSTOP for ${PAUSE_MS / 1000} s`,
    strike: async () => {
      server.signalAll('SIGSTOP')
      await sleep(PAUSE_MS).finally(() => server.signalAll('SIGCONT'))
    },
  },
  {
    name: 'backends: pg_terminate_backend, 60 times',
    strike: async () => {
      await server.use('gateway', async (sql) => {
        for (let i = 0; i < 60; i++) {
          await sql`
            select pg_terminate_backend(pid) from pg_stat_activity
            where datname like ${`${PLATFORM}\\_%`} and application_name like 'calls-%'
            order by state = 'active' desc, random() limit 1
          `
          await sleep(25)
        }
      })
    },
  },
  {
    name: 'backends: SIGKILL of one',
    strike: async () => {
      const [{ pid }] = await server.query(`
        select pid from pg_stat_activity
        where datname like '${PLATFORM}\\_%' and application_name like 'calls-%'
        order by state = 'active' desc limit 1
      `)
      process.kill(pid, 'SIGKILL')
      await sleep(200)
      await server.ready()
    },
  },
  {
    name: 'a database is dropped and created again',
    forgetful: VICTIM,
    isAllowed: ({ error }) => error === 'database_not_found' || error === 'function_not_found',
    strike: async (world) => {
      await server.queryAsSuperuser(`drop database ${PLATFORM}_${VICTIM} with (force)`)
      await sleep(500)
      await world.register(PLATFORM, [VICTIM])
    },
  },
  {
    name: 'network: all connections are cut, 20 times',
    strike: async ({ proxy }) => {
      for (let i = 0; i < 20; i++) {
        proxy.cut()
        await sleep(100)
      }
    },
  },
  {
    name: 'network: every other new connection is cut',
    strike: async ({ proxy }) => {
      for (let i = 0; i < 20; i++) {
        proxy.cut()
        proxy.cutNext(2)
        await sleep(100)
      }
    },
  },
  {
    name: 'network: a delay of 300 ms',
    strike: async ({ proxy }) => {
      proxy.delay(300)
      await sleep(3000)
      proxy.heal()
    },
  },
  {
    name: 'network: a black hole for 10 s',
    strike: async ({ proxy }) => {
      proxy.blackHole()
      await sleep(10_000)
      proxy.heal()
    },
  },
  {
    name: 'network: PostgreSQL half-closes',
    strike: async ({ proxy }) => proxy.halfClose('PostgreSQL'),
  },
  {
    name: 'network: the gateway half-closes',
    strike: async ({ proxy }) => proxy.halfClose('gateway'),
  },
  {
    name: 'the host name does not resolve',
    strike: async (world) => {
      await world.forgetHost(true)
      world.proxy.cut()
      await sleep(4000)
      await world.forgetHost(false)
    },
  },
  {
    name: 'max_connections is used up by others',
    strike: async ({ proxy }) => {
      await usingAllConnections(async () => {
        for (let i = 0; i < 10; i++) {
          // What the gateway had, somebody else has now.
          proxy.cut()
          await sleep(400)
        }
      })
    },
  },
  {
    name: 'pools under eviction, and connections are cut',
    settings: { MAX_TOTAL_CONNECTIONS: '5', MAX_CONNECTIONS_PER_POOL: '3' },
    strike: async ({ proxy }) => {
      for (let i = 0; i < 10; i++) {
        proxy.cut()
        await sleep(300)
      }
    },
  },
]

/** Connections that take what the gateway does not hold, and more as it lets some go. */
async function usingAllConnections(work: () => Promise<unknown>): Promise<void> {
  const others: postgres.Sql[] = []
  let isOver = false
  const taking = (async () => {
    while (!isOver) {
      const one = server.connect()
      const isTaken = await one`select 1`.then(
        () => true,
        () => false,
      )
      if (isTaken) others.push(one)
      else await Promise.all([one.end(), sleep(20)])
    }
  })()
  await work()
  isOver = true
  await taking
  await Promise.all(others.map((one) => one.end()))
}

describe('calls go on after a fault, none runs twice, and each is told what became of it:', () => {
  for (const fault of FAULTS) {
    it(fault.name, () => strikeUnderLoad(fault), 180_000)
  }
})

describe('with a small disk of its own', () => {
  const disk = smallDiskOf(folder)

  beforeEach(({ skip }) => {
    const why = mountSmallDisk(folder)
    if (why !== undefined) skip(why)
  })

  it('calls that find the disk full are told so, have not run, and succeed when there is room', async () => {
    const filler = join(disk, 'filler')
    const { uid, gid } = await stat(server.cluster)
    const space = join(disk, 'space')
    await mkdir(space)
    await chown(space, uid, gid)
    await server.queryAsSuperuser(`create tablespace small location '${space}'`)
    await server.queryAsSuperuser('grant create on tablespace small to gateway')
    await strikeUnderLoad({
      name: 'the disk of the tables is full',
      isAllowed: ({ status, error, sqlstate }) =>
        status === 503 && error === 'query_failed' && sqlstate === '53100',
      strike: async () => {
        for (const tenant of TENANTS) {
          // A page is soon full then, and the table needs another.
          await server.query(
            'alter table runs set (fillfactor = 10); alter table runs set tablespace small',
            `${PLATFORM}_${tenant}`,
          )
        }
        const more = Buffer.alloc(2 * SMALL_DISK_BYTES)
        await expect(writeFile(filler, more)).rejects.toMatchObject({ code: 'ENOSPC' })
        await sleep(3000)
        await rm(filler)
      },
    })
    expect(lines.at(-1)!.verdict.outcomes.get('allowed')).toBeGreaterThan(0)
  }, 180_000)
})
