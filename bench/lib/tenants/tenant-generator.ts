// A process of its own: see tenant-load.ts. It calls what its argument says and prints what it
// measured.
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { seededRandom, tenantDraw } from '../call/draw.ts'
import { PLATFORM } from '../call/platform.ts'
import { forEach } from '../measure.ts'
import type { TenantJob, TenantOutcome } from './tenant-load.ts'
import { databaseOf, ITEMS } from './tenants.ts'

/** Gives the id of the row that came; throws a `Refusal` for an error that is not a wrong answer. */
type Call = (tenant: number, id: number) => Promise<number | undefined>

/** What bench/peer/pgbouncer-client.js exports. */
interface Peer {
  openDatabase(port: number, database: string): PeerDatabase
}

interface PeerDatabase {
  open(): Promise<void>
  call(id: number): Promise<number>
}

const MAX_SAMPLES = 4_000_000
const OPENED_AT_ONCE = 16

const job = JSON.parse(process.argv[2]!) as TenantJob
const samples = new Float64Array(MAX_SAMPLES)
const perTenant = Array.from({ length: job.tenants }, () => ({ calls: 0, ms: 0 }))
/** Those of the tenants that are called least. */
const rareSamples: number[] = []
let calls = 0
let refused = 0
let firstRefusal = ''
let isMeasuring = false
let isOver = false

const open = job.to === 'gateway' ? openHttp : await openPostgres()
const clients = Array.from({ length: job.clients }, async (_, i) => {
  const random = seededRandom(job.seed * 1000 + i)
  const draw = tenantDraw(job.distribution, job.tenants, random)
  const call = await open()
  while (!isOver) await measureOne(call, draw(), 1 + random(ITEMS))
})

await sleep(job.warmUpSeconds * 1000)
process.stdout.write('start\n')
const startedAt = performance.now()
isMeasuring = true
await sleep(job.seconds * 1000)
isMeasuring = false
process.stdout.write(`${JSON.stringify(outcome((performance.now() - startedAt) / 1000))}\n`)
isOver = true
await Promise.race([Promise.all(clients), sleep(2000)])
process.exit(0)

async function measureOne(call: Call, tenant: number, id: number): Promise<void> {
  const sentAt = performance.now()
  try {
    const found = await call(tenant, id)
    if (found !== id) throw new Error(`Tenant ${tenant} answered ${found} for ${id}`)
  } catch (error) {
    if (!isRefusal(error)) throw error
    refused += isMeasuring ? 1 : 0
    firstRefusal ||= (error as Error).message
    return
  }
  if (!isMeasuring || calls >= MAX_SAMPLES) return
  const ms = performance.now() - sentAt
  samples[calls++] = ms
  if (tenant >= job.tenants / 2) rareSamples.push(ms)
  perTenant[tenant]!.calls++
  perTenant[tenant]!.ms += ms
}

function isRefusal(error: unknown): boolean {
  return (error as { isRefusal?: boolean }).isRefusal === true
}

function outcome(seconds: number): TenantOutcome {
  const sorted = samples.subarray(0, calls).sort()
  const percentile = (share: number) => sorted[Math.min(calls - 1, Math.floor(calls * share))] ?? 0
  const rare = rareSamples.sort((a, b) => a - b)
  const means = perTenant.map((tenant) => (tenant.calls > 0 ? tenant.ms / tenant.calls : 0))
  return {
    calls,
    refused,
    firstRefusal,
    seconds,
    p50: percentile(0.5),
    p99: percentile(0.99),
    p999: percentile(0.999),
    longest: sorted[calls - 1] ?? 0,
    slowestTenant: Math.max(...means),
    rareP99: rare[Math.floor(rare.length * 0.99)] ?? 0,
  }
}

/** Calls through the gateway, on a connection of its own. */
async function openHttp(): Promise<Call> {
  const socket = connect({ host: '127.0.0.1', port: job.port, noDelay: true })
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  let answered: (text: string) => void = () => {}
  let text = ''
  socket.on('close', () => {
    if (!isOver) throw new Error('The gateway closed a connection')
  })
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
    const end = text.indexOf('\r\n\r\n')
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1])
    if (end < 0 || text.length < end + 4 + length) return
    const whole = text
    text = ''
    answered(whole)
  })
  return (tenant, id) => {
    const body = `{"platform":"${PLATFORM}","tenant_id":"t${tenant}","function":"get_item","params":[${id}]}`
    const head = `POST /call HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n`
    socket.write(`${head}content-length: ${body.length}\r\n\r\n${body}`)
    return new Promise((resolve, reject) => {
      answered = (answer) => {
        const json = answer.slice(answer.indexOf('\r\n\r\n'))
        if (answer.startsWith('HTTP/1.1 200')) resolve(JSON.parse(json).rows[0]?.id)
        else
          reject(Object.assign(new Error(json), { isRefusal: answer.startsWith('HTTP/1.1 503') }))
      }
    })
  }
}

/** Calls through PgBouncer, on connections that all clients share, as those of an application. */
async function openPostgres(): Promise<() => Promise<Call>> {
  const file = join(import.meta.dirname, '../../peer/pgbouncer-client.js')
  const { openDatabase } = (await import(pathToFileURL(file).href)) as Peer
  const count = job.distribution === 'hot' ? 1 : job.tenants
  const tenants = Array.from({ length: count }, (_, i) => i)
  const databases = tenants.map((tenant) => openDatabase(job.port, databaseOf(tenant)))
  await forEach(databases, OPENED_AT_ONCE, (database) => database.open())
  return async () => (tenant, id) => databases[tenant]!.call(id)
}
