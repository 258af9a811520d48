import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { seededRandom } from './lib/call/draw.ts'
import { freePort, type Service, startService } from './lib/rig.ts'
import { digits, table } from './lib/table.ts'
import { keepCalling, type World } from './soak/calls.ts'
import { keepDeploying, registerFirst } from './soak/deploys.ts'
import { keepBreaking } from './soak/faults.ts'
import { keepWatching } from './soak/operators.ts'
import { PLATFORM } from './soak/platform.ts'
import type { Sample } from './soak/probe.ts'
import { sampleProcesses } from './soak/sample.ts'
import {
  everyPostgres,
  type SoakServer,
  serverOf,
  settingsFor,
  startServers,
} from './soak/servers.ts'
import { Tally } from './soak/tally.ts'

const HELP = `Uses a gateway in all ways at once for long, with consoles open and its metrics scraped, breaks its connections and its PostgreSQL now and then,
and looks whether anything is wrong with the answers, the connections or the memory.

npm run soak -- [options]

  --minutes 20   how long
  --clients 6    how many call at once
  --seed 1       of what is called, and what is broken
  --servers 1    PostgreSQL servers over which the tenants are spread (SERVERS)
  --workers 1    processes of the gateway (WORKERS), at most 5
  --replica      give the server main a streaming replica (DATABASE_READ_URLS)
  --help
`

const PROJECT = join(import.meta.dirname, '..')

/** Of the gateway, for more tenants than that. */
const MAX_CONNECTIONS = 20
const FIRST_TENANTS = 8

const SAMPLE_CONNECTIONS_MS = 100
const QUIET_LIMIT_MS = 60_000

/** What the memory may grow by between the middle and the end; more is growth without end. */
const MAX_HEAP_GROWTH = 0.25
const MAX_RSS_GROWTH = 0.25
const SOME_BYTES = 32 * 2 ** 20

const MEBIBYTE = 2 ** 20

interface Options {
  minutes: number
  clients: number
  seed: number
  servers: number
  workers: number
  replica: boolean
}

/** Memory and event loop of each process of the gateway at the start, in the middle and at the end. */
type Samples = [Sample[], Sample[], Sample[]]

await main()

async function main(): Promise<void> {
  const options = readOptions()
  if (!options) return
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => stopping.abort(new Error(signal)))
  }
  const folder = await mkdtemp(join(tmpdir(), 'db-gateway-soak-'))
  try {
    // PostgreSQL runs as another user where this is root.
    await chmod(folder, 0o755)
    const ended = () => stopping.abort(new Error('PostgreSQL has ended by itself'))
    const servers = await startServers(folder, options, ended)
    try {
      const gateway = await startGateway(options, { folder, servers, stopping })
      try {
        await soak(options, { folder, servers, gateway, stopping })
      } finally {
        await gateway.stop()
      }
    } finally {
      await Promise.all(everyPostgres(servers).map((postgres) => postgres.stop()))
    }
  } catch (error) {
    if (!stopping.signal.aborted) throw error
    console.error(`Stopped: ${(stopping.signal.reason as Error).message}`)
    process.exitCode = 1
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '20' },
      clients: { type: 'string', default: '6' },
      seed: { type: 'string', default: '1' },
      servers: { type: 'string', default: '1' },
      workers: { type: 'string', default: '1' },
      replica: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const { help, replica, ...numbers } = values
  const minutes = Number(numbers.minutes)
  const clients = Number(numbers.clients)
  const seed = Number(numbers.seed)
  const servers = Number(numbers.servers)
  const workers = Number(numbers.workers)
  const isRight = minutes > 0 && clients > 0 && seed >= 0 && servers >= 1 && workers >= 1
  if (help || !isRight) {
    console.log(HELP)
    return undefined
  }
  return { minutes, clients, seed, servers, workers, replica }
}

/** As `npm start` does, with the probe in it. */
async function startGateway(
  { workers }: Options,
  { folder, servers, stopping }: Omit<Soak, 'gateway'>,
): Promise<Service> {
  const port = await freePort()
  const imports = [
    join(PROJECT, 'scripts/typescript.mjs'),
    join(import.meta.dirname, 'soak/probe.ts'),
  ].flatMap((file) => ['--import', pathToFileURL(file).href])
  return startService(
    ['--expose-gc', ...imports, join(PROJECT, 'server.ts')],
    {
      ...settingsFor(servers, MAX_CONNECTIONS),
      GATEWAY_PORT: `${port}`,
      WORKERS: `${workers}`,
      LOG_LEVEL: 'warn',
      SOAK_PROBE: probeOf(folder),
    },
    { folder, port, stopping },
  )
}

interface Soak {
  folder: string
  servers: SoakServer[]
  gateway: Service
  stopping: AbortController
}

async function soak(options: Options, { folder, servers, gateway, stopping }: Soak) {
  const { minutes, clients, seed } = options
  const over = new AbortController()
  const random = seededRandom(seed)
  const tally = new Tally()
  const world: World = {
    gatewayUrl: gateway.url,
    tally,
    random,
    servers,
    tenants: [],
    release: { deployed: 1, begun: 1 },
    writes: { sent: 0, answered: new Map() },
    reads: { answered: 0, byReplica: 0 },
    signal: AbortSignal.any([over.signal, stopping.signal]),
  }
  console.log(`${availableParallelism()} cores, Node ${process.version}. ${minutes} minutes …\n`)
  await registerFirst(world, FIRST_TENANTS)
  const most = watchConnections(world)
  const work = Promise.all([
    ...Array.from({ length: clients }, () => keepCalling(world)),
    keepDeploying(world),
    keepWatching(world),
  ])
  const breaking = keepBreaking(world)
  const pause = async (share: number) => {
    const ms = minutes * 60_000 * share
    // A failure of the work itself ends it at once.
    await Promise.race([work, breaking, sleep(ms, undefined, { signal: stopping.signal })])
    return sampleProcesses(probeOf(folder), stopping.signal)
  }
  // By then it has warmed up.
  const samples: Samples = [await pause(0.1), await pause(0.45), await pause(0.45)]
  over.abort()
  const [faults] = await Promise.all([breaking, work])
  const permits = await waitUntilQuiet(world)
  await checkWrites(world)
  const outcome = { samples, permits, mostConnections: await most }
  judge(world, options, outcome)
  print(world, options, { ...outcome, faults })
}

/** The most connections that the gateway ever had to one server, or to the replica. */
async function watchConnections({ signal, servers }: World): Promise<number> {
  let most = 0
  while (!signal.aborted) {
    for (const postgres of everyPostgres(servers)) {
      most = Math.max(most, await postgres.connections().catch(() => 0))
    }
    await sleep(SAMPLE_CONNECTIONS_MS)
  }
  return most
}

function probeOf(folder: string): string {
  return join(folder, 'probe')
}

interface Permits {
  gateway: number
  postgres: number
}

/**
 * When nobody asks any more, the gateway's own count and PostgreSQL's have to come to the same. The
 * gateway tells no count for replicas.
 */
async function waitUntilQuiet(world: World): Promise<Permits> {
  const giveUpAt = performance.now() + QUIET_LIMIT_MS
  for (;;) {
    const response = await fetch(`${world.gatewayUrl}/admin/pools`)
    const pools = (await response.json()) as { permits: { held: number } }
    const open = await Promise.all(world.servers.map(({ postgres }) => postgres.connections()))
    const permits = {
      gateway: pools.permits.held,
      postgres: open.reduce((total, count) => total + count, 0),
    }
    if (permits.gateway === permits.postgres || performance.now() > giveUpAt) return permits
    await sleep(500)
  }
}

/** What was answered is there once; what was not is there once at most. */
async function checkWrites({ writes, tenants, tally, servers }: World) {
  for (const tenant of tenants) {
    const { postgres } = serverOf(servers, tenant)
    const rows = await postgres.query<{ key: string; times: number }>(
      `${PLATFORM}_${tenant}`,
      'select key, count(*)::integer as times from events group by key',
    )
    const found = new Map(rows.map(({ key, times }) => [key, times]))
    for (const [key, times] of found) {
      if (times > 1) tally.complain(`${key} of ${tenant} was written ${times} times`)
    }
    for (const key of writes.answered.get(tenant) ?? []) {
      if (!found.has(key)) tally.complain(`${key} of ${tenant} was answered and is not there`)
    }
  }
}

interface Outcome {
  samples: Samples
  permits: Permits
  mostConnections: number
}

function judge(
  { tally, reads }: World,
  { workers, replica }: Options,
  { samples, permits, mostConnections }: Outcome,
): void {
  const [start, middle, end] = samples
  const processes = workers > 1 ? workers + 1 : 1
  // Nothing that is broken here ends one.
  if (end.length !== processes || start.some(({ pid }, i) => pid !== end[i]?.pid)) {
    tally.complain('A process of the gateway has ended')
  }
  const limit = (bytes: number, growth: number) => bytes * (1 + growth) + SOME_BYTES
  for (const { pid, heapBytes, rssBytes } of end) {
    const before = middle.find((one) => one.pid === pid)
    if (!before) continue
    if (heapBytes > limit(before.heapBytes, MAX_HEAP_GROWTH)) tally.complain('The heap grows')
    if (rssBytes > limit(before.rssBytes, MAX_RSS_GROWTH)) tally.complain('The RSS grows')
  }
  if (replica && reads.byReplica === 0) tally.complain('The replica answers nothing')
  if (mostConnections > MAX_CONNECTIONS) {
    tally.complain(`${mostConnections} connections were open, of ${MAX_CONNECTIONS}`)
  }
  if (permits.gateway !== permits.postgres) {
    tally.complain(`${permits.gateway} permits are out for ${permits.postgres} connections`)
  }
}

function print(
  world: World,
  { replica }: Options,
  outcome: Outcome & { faults: Record<string, number> },
): void {
  const { tally, tenants, release, writes, reads } = world
  const { samples, permits, mostConnections, faults } = outcome
  const memory = [
    ['', 'start', 'middle', 'end'],
    ...samples[2].flatMap((one) => rowsOf(samples, one)),
  ]
  const answered = [...writes.answered.values()].reduce((sum, { size }) => sum + size, 0)
  const broken = Object.entries(faults).map(([what, times]) => `${times} ${what}`)
  console.log(`${tally}

${table(memory)}

${tally.sent} requests; ${tenants.length} tenants, release ${release.deployed}; ${answered} of ${writes.sent} writes answered.${
    replica ? `\n${reads.byReplica} of ${reads.answered} reads were answered by the replica.` : ''
  }
Faults: ${broken.join(', ') || 'none'}.
Connections: at most ${mostConnections} of ${MAX_CONNECTIONS}; when all was quiet ${permits.gateway} permits for ${permits.postgres} in pg_stat_activity.
`)
  if (tally.complaints.length === 0) {
    console.log('Nothing is wrong.')
    return
  }
  console.log(`Wrong:\n- ${tally.complaints.join('\n- ')}`)
  process.exitCode = 1
}

/** What a process was at each moment. */
function rowsOf(samples: Samples, { pid, worker }: Sample): string[][] {
  const isAlone = samples[2].length === 1
  const name = isAlone ? '' : worker === 0 ? 'parent: ' : `worker ${worker}: `
  const row = (what: string, value: (sample: Sample) => number) => {
    const found = samples.map((moment) => moment.find((one) => one.pid === pid))
    return [name + what, ...found.map((one) => (one ? digits(value(one)) : ''))]
  }
  return [
    row('RSS, MiB', ({ rssBytes }) => rssBytes / MEBIBYTE),
    row('heap after a collection, MiB', ({ heapBytes }) => heapBytes / MEBIBYTE),
    row('event-loop delay p99, ms', ({ delayP99Ms }) => delayP99Ms),
    row('event-loop delay, longest, ms', ({ delayMaxMs }) => delayMaxMs),
  ]
}
