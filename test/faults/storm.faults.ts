import { afterAll, beforeAll, inject, it } from 'vitest'
import { MortalPostgres } from './postgres.ts'
import { registerProcess } from './setup.ts'
import { startStormGateway } from './storm/gateway.ts'
import { runStorm } from './storm/storm.ts'

const SEED = Number(process.env.STORM_SEED || Date.now() % 1_000_000)
const CALLS = Number(process.env.STORM_CALLS || 1_000_000)
const MOST_HOURS = 6

const folder = inject('faultsFolder')
let server: MortalPostgres

beforeAll(async () => {
  process.env.TMPDIR = folder
  registerProcess(folder, process.pid)
  server = await MortalPostgres.start(folder, { max_connections: '100' })
})

afterAll(() => server?.stop())

it(`${CALLS} calls in a storm: no answer is wrong, no write is lost or there twice`, {
  timeout: MOST_HOURS * 3_600_000,
}, async () => {
  const gateway = await startStormGateway(server.url('tcp', 'db-gateway'))
  registerProcess(folder, gateway.process.pid)
  await runStorm({
    gateway,
    platform: 'storm',
    connect: (database) => server.connect(database),
    seed: SEED,
    clients: 64,
    calls: CALLS,
    deployEveryMs: 15_000,
  })
})
