import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Distribution } from './lib/call/draw.ts'
import { installPeer } from './lib/call/peer.ts'
import { runLife } from './lib/life/run.ts'
import { median } from './lib/measure.ts'
import { type Rig, type Service, withRig } from './lib/rig.ts'
import { machine, runBench } from './lib/run.ts'
import { digits, table, times } from './lib/table.ts'
import { watchConnections } from './lib/tenants/cap.ts'
import { findPgbouncer, startPgbouncer, startPooler } from './lib/tenants/pgbouncer.ts'
import { loadTenants, type TenantLoad } from './lib/tenants/tenant-load.ts'
import { callEach, createTenants, makeLoginsUsual } from './lib/tenants/tenants.ts'

const HELP = `Calls a function in a thousand databases through a gateway that may have 50 connections, and
through PgBouncer with the same limit.

npm run bench:tenants -- [options]

  --databases 1000     how many; 8 MB each in TMPDIR
  --connections 50     MAX_TOTAL_CONNECTIONS, and PgBouncer's max_user_connections
  --clients 32,100     how many calls at once; a table for each
  --seconds 4          how long each measurement takes
  --rounds 3           how often all are measured in turn; the table has the medians
  --warm-up 2          seconds before each measurement that are not measured
  --pooler PROGRAM     another pooler in PgBouncer's place: see bench/README.md
  --no-pgbouncer       without it
  --help

--life measures the creation, the copies and the end of tenants instead: --life --help.
`

/** As MAX_CONNECTIONS_PER_POOL is. */
const PER_DATABASE = 10

const DISTRIBUTIONS = ['hot', 'zipf', 'uniform'] as const

interface Options {
  databases: number
  connections: number
  clients: number[]
  seconds: number
  rounds: number
  warmUp: number
  pooler: string | undefined
  noPgbouncer: boolean
}

/** What was measured one after the other. */
interface Round {
  gateway: Record<Distribution, TenantLoad>
  pgbouncer: Record<Distribution, TenantLoad> | undefined
}

const HEADER = [
  '',
  'calls/s',
  'of its hot',
  'of PgBouncer',
  'p50 ms',
  'p99',
  'p99.9',
  'longest',
  'slowest tenant',
  'rare p99',
  'opened/call',
  'PostgreSQL ms/fresh call',
  'CPU µs',
  'PostgreSQL CPU µs',
  'refused',
]

const isLife = process.argv.includes('--life')
const options = isLife ? undefined : readOptions()
if (isLife) await runLife()
if (options) await runBench((stopping) => main(options, stopping))

async function main(options: Options, stopping: AbortController): Promise<void> {
  const { databases, connections } = options
  const found = await findPeer(options)
  if (found) await installPeer()
  console.log(
    `${machine()}, ${found?.version ?? 'without a pooler'}. ` +
      `${databases} databases, ${connections} connections. ${options.seconds} s each.\n`,
  )
  await withRig(
    { LOG_LEVEL: 'info', MAX_TOTAL_CONNECTIONS: `${connections}` },
    stopping,
    async (rig) => {
      await createTenants(rig, databases)
      await makeLoginsUsual(rig)
      await callEach(rig, databases)
      const limits = { total: connections, perDatabase: PER_DATABASE }
      const start = options.pooler ? startPooler : startPgbouncer
      const pgbouncer = found && (await start(rig, found.program, limits))
      try {
        await compare(rig, pgbouncer, options)
      } finally {
        await pgbouncer?.stop()
      }
    },
    // Nothing that is measured writes, and a thousand databases would be waited for.
    { fsync: 'off' },
  )
}

async function findPeer({ pooler, noPgbouncer }: Options) {
  if (pooler) return { program: resolve(pooler), version: pooler }
  return noPgbouncer ? undefined : findPgbouncer()
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      databases: { type: 'string', default: '1000' },
      connections: { type: 'string', default: '50' },
      clients: { type: 'string', default: '32,100' },
      seconds: { type: 'string', default: '4' },
      rounds: { type: 'string', default: '3' },
      'warm-up': { type: 'string', default: '2' },
      pooler: { type: 'string' },
      'no-pgbouncer': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const options = {
    databases: Number(values.databases),
    connections: Number(values.connections),
    clients: values.clients.split(',').map(Number),
    seconds: Number(values.seconds),
    rounds: Number(values.rounds),
    warmUp: Number(values['warm-up']),
  }
  const isRight = Object.values(options)
    .flat()
    .every((value) => value > 0)
  if (values.help || !isRight) {
    console.log(HELP)
    return undefined
  }
  return { ...options, pooler: values.pooler, noPgbouncer: values['no-pgbouncer'] }
}

async function compare(rig: Rig, pgbouncer: Service | undefined, options: Options): Promise<void> {
  for (const clients of options.clients) {
    const rounds: Round[] = []
    for (let seed = 1; seed <= options.rounds; seed++) {
      const job = {
        tenants: options.databases,
        clients,
        seed,
        warmUpSeconds: options.warmUp,
        seconds: options.seconds,
      }
      const gateway: Partial<Round['gateway']> = {}
      const peer: Partial<Round['gateway']> = {}
      for (const distribution of DISTRIBUTIONS) {
        const gatewayJob = { ...job, to: 'gateway' as const, port: portOf(rig), distribution }
        gateway[distribution] = await loadTenants(gatewayJob, rig.gatewayPid, rig)
        if (!pgbouncer) continue
        const peerJob = { ...gatewayJob, to: 'pgbouncer' as const, port: pgbouncer.port }
        peer[distribution] = await loadTenants(peerJob, pgbouncer.pid, rig)
      }
      rounds.push({
        gateway: gateway as Round['gateway'],
        pgbouncer: pgbouncer && (peer as Round['gateway']),
      })
    }
    print(clients, rounds, options.pooler ? 'the pooler' : 'PgBouncer')
  }
  await checkCap(rig, options)
}

/** What PostgreSQL says of the cap, apart from the measurements: to be asked costs it something. */
async function checkCap(rig: Rig, { databases, connections, seconds }: Options): Promise<void> {
  const job = {
    to: 'gateway' as const,
    port: portOf(rig),
    distribution: 'uniform' as const,
    tenants: databases,
    clients: 2 * connections,
    seed: 1,
    warmUpSeconds: 0,
    seconds,
  }
  const { most, looks } = await watchConnections(rig, () => loadTenants(job, rig.gatewayPid, rig))
  console.log(`Open connections, looked at ${looks} times: at most ${most} of ${connections}`)
  if (most > connections) throw new Error('The cap was passed')
}

function portOf({ gatewayUrl }: Rig): number {
  return Number(new URL(gatewayUrl).port)
}

function print(clients: number, rounds: Round[], peer: string): void {
  const rows = [HEADER.map((column) => column.replace('PgBouncer', peer))]
  for (const who of ['gateway', 'pgbouncer'] as const) {
    if (!rounds[0]![who]) continue
    for (const distribution of DISTRIBUTIONS) {
      const middle = (value: (load: TenantLoad, round: Round) => number) =>
        median(rounds.map((round) => value(round[who]![distribution], round)))
      const number = (field: keyof TenantLoad) => digits(middle((load) => Number(load[field])))
      rows.push([
        `${who === 'gateway' ? who : peer}, ${distribution}`,
        number('perSecond'),
        digits(middle((load, round) => load.perSecond / round[who]!.hot.perSecond)),
        who === 'gateway' && rounds[0]!.pgbouncer
          ? times(
              middle((load, round) => load.perSecond / round.pgbouncer![distribution].perSecond),
            )
          : '',
        number('p50'),
        number('p99'),
        number('p999'),
        number('longest'),
        number('slowestTenant'),
        number('rareP99'),
        middle((load) => load.openedPerCall).toFixed(3),
        distribution === 'hot'
          ? ''
          : digits(middle((load, round) => freshMs(load, round[who]!.hot))),
        number('cpuUs'),
        number('postgresCpuUs'),
        `${middle((load) => load.refused)}`,
      ])
    }
  }
  const refusals = rounds
    .flatMap((round) => [round.gateway, round.pgbouncer])
    .flatMap((loads) => Object.values(loads ?? {}).map(({ firstRefusal }) => firstRefusal))
  console.log(`${clients} clients\n\n${table(rows)}\n`)
  const refusal = refusals.find((text) => text !== '')
  if (refusal) console.log(`The first refusal: ${refusal}\n`)
}

/**
 * CPU of PostgreSQL for a call on a session that was opened for it, in milliseconds: what all calls
 * cost, without the others at the cost of a hot tenant's.
 */
function freshMs({ postgresCpuUs, openedPerCall }: TenantLoad, hot: TenantLoad): number {
  return (postgresCpuUs - (1 - openedPerCall) * hot.postgresCpuUs) / openedPerCall / 1000
}
