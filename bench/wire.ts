import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import postgres from 'postgres'
import { startEmbedded } from '../lib/postgres/embedded.ts'
import { parseDatabaseUrl } from '../lib/postgres/hosts/server.ts'
import { logIn } from '../lib/postgres/session/log-in.ts'
import { Session } from '../lib/postgres/session/session.ts'
import { openSocket } from '../lib/postgres/session/socket.ts'
import { digits, table } from './lib/table.ts'

const HELP = `CPU of this process for one query on one connection: by the gateway's own session and by
postgres.js, both with a prepared statement and rows as bytes.

npm run bench:wire -- [options]

  --seconds 2     how long each measurement takes
  --rounds 3      how often the two are measured in turn; the table has the least of each
  --help
`

const STATEMENTS = {
  'one row': 'select $1::int as id, $2::text as name, now() as at',
  'an error': 'select $1::int / 0 as id, $2::text as name',
  '100 rows':
    'select $1::int + n as id, $2::text as name, now() as at from generate_series(1, 100) n',
}
const IN_FLIGHT = [1, 32]

type RunOne = (text: string, id: string) => Promise<unknown>

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) console.log(HELP)
else await main(Number(values.seconds), Number(values.rounds))

async function main(seconds: number, rounds: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'db-gateway-bench-'))
  try {
    // PostgreSQL runs as another user where this is root.
    await chmod(folder, 0o755)
    const server = await startEmbedded({ dataDir: join(folder, 'data') })
    try {
      await compare(server.url, seconds, rounds)
    } finally {
      await server.stop()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function compare(url: string, seconds: number, rounds: number): Promise<void> {
  const server = parseDatabaseUrl(url)
  const socket = await openSocket(server, 5000)
  const { user, database } = server
  await logIn(socket, server, { user, database, client_encoding: 'UTF8' })
  const session = new Session(socket)
  const sql = postgres({ ...server, max: 1, fetch_types: false })
  const ways: Record<string, RunOne> = {
    session: (text, id) => session.run({ text, values: [id, 'a name'] }).result,
    'postgres.js': (text, id) => sql.unsafe(text, [id, 'a name'], { prepare: true }).raw(),
  }
  const names = Object.keys(ways)
  const rows = [['query', 'in flight', ...names.map((name) => `${name}, µs`), 'queries/s']]
  for (const [what, text] of Object.entries(STATEMENTS)) {
    for (const inFlight of IN_FLIGHT) {
      const best: Measured[] = []
      for (let round = 0; round < rounds; round++) {
        for (const [i, run] of Object.values(ways).entries()) {
          const measured = await measure((id) => run(text, id), inFlight, seconds)
          if (!best[i] || measured.cpu < best[i].cpu) best[i] = measured
        }
      }
      const rates = best.map(({ rate }) => digits(rate)).join(' / ')
      rows.push([what, String(inFlight), ...best.map(({ cpu }) => digits(cpu)), rates])
    }
  }
  console.log(table(rows))
  await Promise.all([session.close(), sql.end()])
}

interface Measured {
  /** Microseconds of CPU of this process a query. */
  cpu: number
  /** Queries a second. */
  rate: number
}

async function measure(
  run: (id: string) => Promise<unknown>,
  inFlight: number,
  seconds: number,
): Promise<Measured> {
  let count = 0
  const started = performance.now()
  const until = started + seconds * 1000
  const cpu = process.cpuUsage()
  const client = async () => {
    while (performance.now() < until) await run(String(count++ % 1000)).catch(() => {})
  }
  await Promise.all(Array.from({ length: inFlight }, client))
  const { user, system } = process.cpuUsage(cpu)
  return { cpu: (user + system) / count, rate: (count * 1000) / (performance.now() - started) }
}
