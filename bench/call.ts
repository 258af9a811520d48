import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { inspect, parseArgs, promisify } from 'node:util'
import { parseDatabaseUrl } from '../lib/postgres/server.ts'
import {
  type Bench,
  measureBigResult,
  measureHalfLoad,
  measureLog,
  measureManyRows,
  measureOneRow,
  measureSlowNeighbour,
} from './lib/calls.ts'
import { findPgbench, pgbenchOn } from './lib/pgbench.ts'
import { DATABASE, registerPlatform } from './lib/platform.ts'
import { freePort, type Rig, type Service, startService, withRig } from './lib/rig.ts'

const HELP = `Calls functions through a gateway, through a service written by hand with Fastify and pg
(bench/peer), and by pgbench, all on one PostgreSQL.

npm run bench -- [options]

  --seconds 4          how long each measurement takes
  --rounds 3           how often the three are measured in turn; the table has the medians
  --only one,rows,…    of: one, rows, half, slow, big, log
  --pgbench /path      the pgbench to use; without it the newest that is installed
  --no-peer            without the peer
  --help
`

const PARTS = ['one', 'rows', 'half', 'slow', 'big', 'log'] as const
type Part = (typeof PARTS)[number]

interface Options {
  seconds: number
  rounds: number
  parts: Part[]
  pgbench: string | undefined
  noPeer: boolean
}

const PEER = join(import.meta.dirname, 'peer')

await main()

async function main(): Promise<void> {
  const options = readOptions()
  if (!options) return
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => stopping.abort(new Error(signal)))
  }
  const program = await findPgbench(options.pgbench)
  if (!program) {
    console.log('No pgbench found (Debian: the package postgresql): its columns are empty.\n')
  }
  if (!options.noPeer) await installPeer()
  console.log(
    `${availableParallelism()} cores, Node ${process.version}. ${options.seconds} s each.\n`,
  )
  try {
    await withRig(
      { LOG_LEVEL: 'info', MAX_RESULT_BYTES: `${64 * 1024 * 1024}` },
      stopping,
      async (rig) => {
        await registerPlatform(rig)
        const peer = options.noPeer ? undefined : await startPeer(rig)
        try {
          const gateway = { ...serviceOf(rig) }
          const pgbench = program ? pgbenchOn(rig, program, DATABASE) : undefined
          const { seconds, rounds } = options
          const bench = { seconds, rounds, rig, gateway, peer, pgbench }
          const run: Record<Part, (bench: Bench) => Promise<void>> = {
            one: measureOneRow,
            rows: measureManyRows,
            half: measureHalfLoad,
            slow: measureSlowNeighbour,
            big: measureBigResult,
            log: measureLog,
          }
          for (const part of options.parts) await run[part](bench)
        } finally {
          await peer?.stop()
        }
      },
    )
  } catch (error) {
    if (!stopping.signal.aborted) throw error
    console.error(`Stopped: ${(stopping.signal.reason as Error).message}`)
    process.exitCode = 1
  }
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '4' },
      rounds: { type: 'string', default: '3' },
      only: { type: 'string', default: PARTS.join(',') },
      pgbench: { type: 'string' },
      'no-peer': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const parts = values.only.split(',') as Part[]
  const unknown = parts.find((part) => !PARTS.includes(part))
  const seconds = Number(values.seconds)
  const rounds = Number(values.rounds)
  if (values.help || unknown || !(seconds > 0) || !(rounds > 0)) {
    console.log(unknown ? `--only: ${inspect(unknown)} is none of ${PARTS.join(', ')}` : HELP)
    return undefined
  }
  return { seconds, rounds, parts, pgbench: values.pgbench, noPeer: values['no-peer'] }
}

async function installPeer(): Promise<void> {
  if (existsSync(join(PEER, 'node_modules'))) return
  console.log('Installing the peer’s packages …')
  await promisify(execFile)('npm', ['ci'], { cwd: PEER })
}

async function startPeer(rig: Rig): Promise<Service> {
  const port = await freePort()
  const server = parseDatabaseUrl(rig.databaseUrl)
  return startService(
    ['--max-semi-space-size=64', join(PEER, 'server.js')],
    {
      PEER_PORT: `${port}`,
      PGHOST: server.host,
      PGPORT: `${server.port}`,
      PGUSER: server.user,
      PGPASSWORD: server.password,
    },
    { folder: rig.folder, port, stopping: rig.stopping },
  )
}

function serviceOf({ gatewayUrl, gatewayPid }: Rig): Service {
  const { port } = new URL(gatewayUrl)
  return { url: gatewayUrl, port: Number(port), pid: gatewayPid, stop: async () => {} }
}
