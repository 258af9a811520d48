import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import type { Sql } from '../lib/postgres/pools/connection.ts'
import { Placements } from '../lib/servers/placements.ts'
import { Servers } from '../lib/servers/servers.ts'
import { digits, table } from './lib/table.ts'

const HELP = `What a call pays for SERVERS: the look-up of the server of its database, in memory, and the memory of
all placements. No PostgreSQL is needed.

npm run bench:placements -- [options]

  --placements 10000   databases that are on another server than main
  --rounds 5           the table has the least of each
  --help
`

const LOOKUPS = 2_000_000
const PLATFORM = 'bench'

const { values } = parseArgs({
  options: {
    placements: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '5' },
    help: { type: 'boolean', default: false },
  },
})
const [count, rounds] = [values.placements, values.rounds].map(Number) as [number, number]
if (values.help || !(count > 0) || !(rounds > 0)) console.log(HELP)
else await main()

async function main(): Promise<void> {
  const before = heap()
  const several = await serversOf(['eu1', 'eu2'], count)
  const after = heap()
  const single = await serversOf([], 0)
  const owners = Array.from({ length: 2 * count }, (_, i) => ({
    platform: PLATFORM,
    tenantId: `t${i}`,
    schema: null,
  }))
  const rows = [['', 'ns of CPU a look-up']]
  for (const [name, servers] of [
    ['without SERVERS', single],
    ['with SERVERS, half of the databases elsewhere', several],
  ] as const) {
    let least = Infinity
    for (let round = 0; round < rounds; round++) {
      const before = process.cpuUsage()
      for (let i = 0; i < LOOKUPS; i++) servers.of(owners[i % owners.length]!)
      const { user, system } = process.cpuUsage(before)
      least = Math.min(least, ((user + system) * 1000) / LOOKUPS)
    }
    rows.push([name, digits(least)])
  }
  console.log(`${availableParallelism()} cores, Node ${process.version}.\n
${table(rows)}

${count} placements: ${digits((after - before) / 1e6)} MB of heap.`)
}

type Parts = ConstructorParameters<typeof Servers>[0]

/** Servers of which one is here only by its name, with placements that no catalog has. */
async function serversOf(others: string[], placed: number) {
  const placements = new Placements(
    async (work) => work((async () => rowsOf(others, placed)) as unknown as Sql),
    '',
  )
  await placements.load()
  // None of its parts is asked: only which they are.
  const parts = {} as Parts
  const servers = new Servers<Parts>(parts, placements, others)
  for (const name of others) servers.note(name, parts)
  return servers
}

function rowsOf(others: string[], placed: number) {
  return Array.from({ length: placed }, (_, i) => ({
    database: `${PLATFORM}_t${i}`,
    platform: PLATFORM,
    server: others[i % others.length]!,
  }))
}

function heap(): number {
  global.gc?.()
  return process.memoryUsage().heapUsed
}
