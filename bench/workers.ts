import { parseArgs } from 'node:util'
import { callJob, type Job, type Load, load } from './lib/call/load.ts'
import { registerPlatform } from './lib/call/platform.ts'
import { median } from './lib/measure.ts'
import { type PostgresRig, type Service, startGateway, withPostgres } from './lib/rig.ts'
import { machine, runBench } from './lib/run.ts'
import { digits, table } from './lib/table.ts'

const HELP = `What WORKERS=2 costs: one light function through one process, through two gateways of one process
each, and through one gateway of two workers, all on one PostgreSQL. What two gateways take more than
one is the machine's; what two workers take more than two gateways is theirs.

npm run bench:workers -- [options]

  --seconds 4          how long each measurement takes
  --rounds 3           how often they are measured in turn; the table has the medians
  --clients 1,16,50    clients of each process
  --help
`

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3' },
    clients: { type: 'string', default: '1,16,50' },
    help: { type: 'boolean', default: false },
  },
})
const seconds = Number(values.seconds)
const rounds = Number(values.rounds)
const numbersOfClients = values.clients.split(',').map(Number)
const numbers = [seconds, rounds, ...numbersOfClients]
if (values.help || !numbers.every((number) => number > 0)) console.log(HELP)
else await runBench((stopping) => withPostgres(stopping, main))

interface Setup {
  name: string
  processes: number
  first: Service
  second?: Service
}

async function main(rig: PostgresRig): Promise<void> {
  console.log(`${machine()}. ${seconds} s each, ${rounds} rounds.\n`)
  const services: Service[] = []
  const start = async (workers: number) => {
    const service = await startGateway(rig, { WORKERS: `${workers}`, LOG_LEVEL: 'info' })
    services.push(service)
    return service
  }
  try {
    const [one, other, both] = [await start(1), await start(1), await start(2)]
    await registerPlatform({ gatewayUrl: one.url })
    await measureAll(rig, [
      { name: 'one process', processes: 1, first: one },
      { name: 'two gateways', processes: 2, first: one, second: other },
      { name: 'two workers', processes: 2, first: both },
    ])
  } finally {
    for (const service of services.reverse()) await service.stop()
  }
}

async function measureAll(rig: PostgresRig, setups: Setup[]): Promise<void> {
  const rows = [['', 'calls/s', 'CPU µs', 'PostgreSQL CPU µs', 'generator CPU µs', 'p50 ms', 'p99']]
  for (const clients of numbersOfClients) {
    const loads = setups.map((): Load[] => [])
    for (let round = 0; round < rounds; round++) {
      for (const [i, setup] of setups.entries()) loads[i]!.push(await put(rig, setup, clients))
    }
    for (const [i, { name, processes }] of setups.entries()) {
      const middle = (value: (load: Load) => number) => digits(median(loads[i]!.map(value)))
      rows.push([
        `${name}, ${clients * processes} clients`,
        middle(({ perSecond }) => perSecond),
        middle(({ cpuUs }) => cpuUs),
        middle(({ postgresCpuUs }) => postgresCpuUs),
        middle(({ generatorCpuUs }) => generatorCpuUs),
        middle(({ p50 }) => p50),
        middle(({ p99 }) => p99),
      ])
    }
  }
  console.log(table(rows))
}

function put(
  rig: PostgresRig,
  { processes, first, second }: Setup,
  clients: number,
): Promise<Load> {
  const job: Partial<Job> = second ? { secondPort: second.port } : {}
  return load(
    callJob(first.port, 'get_item', '$id', {
      ...job,
      clients: clients * processes,
      seconds,
      rows: 1,
    }),
    { pid: first.pid, secondPid: second?.pid, postmaster: rig.postmaster },
    rig.signal,
  )
}
