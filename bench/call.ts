import { inspect, parseArgs } from 'node:util'
import {
  measureBigResult,
  measureHalfLoad,
  measureLog,
  measureSlowNeighbour,
} from './lib/call/alone.ts'
import type { Bench } from './lib/call/bench.ts'
import { measureErrors, measureGet } from './lib/call/methods.ts'
import { installPeer, startPeer } from './lib/call/peer.ts'
import { findPgbench, pgbenchOn } from './lib/call/pgbench.ts'
import { DATABASE, registerPlatform } from './lib/call/platform.ts'
import { measureManyRows, measureOneRow } from './lib/call/reads.ts'
import { Summary } from './lib/call/summary.ts'
import { measureWrites } from './lib/call/writes.ts'
import { type Rig, type Service, withRig } from './lib/rig.ts'
import { machine, runBench } from './lib/run.ts'

const HELP = `Calls functions through a gateway, through a service written by hand with Fastify and pg
(bench/peer), and by pgbench, all on one PostgreSQL.

npm run bench -- [options]

  --seconds 4          how long each measurement takes
  --rounds 3           how often the three are measured in turn; the table has the medians
  --only one,rows,…    of: one, rows, write, get, errors, half, slow, big, log
  --clients 1,32,100   numbers of clients of the part "one"
  --pgbench /path      the pgbench to use; without it the newest that is installed
  --no-peer            without the peer
  --workers 1          WORKERS of the gateway; its CPU is that of the parent and all workers
  --help
`

/** The parts, in the order in which they are measured. */
const PARTS: Record<string, (bench: Bench) => Promise<void>> = {
  one: measureOneRow,
  rows: measureManyRows,
  write: measureWrites,
  get: measureGet,
  errors: measureErrors,
  half: measureHalfLoad,
  slow: measureSlowNeighbour,
  big: measureBigResult,
  log: measureLog,
}

interface Options {
  seconds: number
  rounds: number
  parts: string[]
  clients: number[]
  pgbench: string | undefined
  noPeer: boolean
  workers: string
}

const options = readOptions()
if (options) await runBench((stopping) => main(options, stopping))

async function main(options: Options, stopping: AbortController): Promise<void> {
  const { seconds, rounds, parts, clients, noPeer, workers } = options
  const program = await findPgbench(options.pgbench)
  if (!program) {
    console.log('No pgbench found (Debian: the package postgresql): its columns are empty.\n')
  }
  if (!noPeer) await installPeer()
  console.log(`${machine()}. ${seconds} s each.\n`)
  const settings = { WORKERS: workers, LOG_LEVEL: 'info', MAX_RESULT_BYTES: `${64 * 1024 * 1024}` }
  await withRig(settings, stopping, async (rig) => {
    await registerPlatform(rig)
    const peer = noPeer ? undefined : await startPeer(rig)
    try {
      const pgbench = program ? pgbenchOn(rig, program, DATABASE) : undefined
      const summary = new Summary()
      const gateway = serviceOf(rig)
      const bench = { seconds, rounds, clients, rig, gateway, peer, pgbench, summary }
      for (const part of parts) await PARTS[part]!(bench)
      summary.print()
    } finally {
      await peer?.stop()
    }
  })
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '4' },
      rounds: { type: 'string', default: '3' },
      only: { type: 'string', default: Object.keys(PARTS).join(',') },
      pgbench: { type: 'string' },
      clients: { type: 'string', default: '1,32,100' },
      workers: { type: 'string', default: '1' },
      'no-peer': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const parts = values.only.split(',')
  const unknown = parts.find((part) => !Object.hasOwn(PARTS, part))
  const seconds = Number(values.seconds)
  const rounds = Number(values.rounds)
  const clients = values.clients.split(',').map(Number)
  const numbers = [seconds, rounds, ...clients]
  if (values.help || unknown || !numbers.every((number) => number > 0)) {
    console.log(
      unknown ? `--only: ${inspect(unknown)} is none of ${Object.keys(PARTS).join(', ')}` : HELP,
    )
    return undefined
  }
  return {
    seconds,
    rounds,
    parts,
    clients,
    pgbench: values.pgbench,
    noPeer: values['no-peer'],
    workers: values.workers,
  }
}

function serviceOf({ gatewayUrl, gatewayPid }: Rig): Service {
  const { port } = new URL(gatewayUrl)
  return { url: gatewayUrl, port: Number(port), pid: gatewayPid, stop: async () => {} }
}
