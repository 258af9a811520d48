// A process of its own: see load.ts. It sends what its argument says and prints what it measured.
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Job, Outcome } from './load.ts'

const MAX_SAMPLES = 8_000_000
const TICK_MS = 1

const job = JSON.parse(process.argv[2]!) as Job
const START = `HTTP/1.1 ${job.status}`
const hasId = job.status === 200 && (job.head + job.body).includes('$id')
const samples = new Float64Array(MAX_SAMPLES)
let count = 0
let errors = 0
let firstError = ''
let isMeasuring = false
let isOver = false
/** When a request was due that no connection was free for. */
const overdue: number[] = []

const clients = await Promise.all(
  Array.from({ length: job.clients }, (_, i) =>
    openClient(i % 2 === 1 ? job.secondPort : undefined),
  ),
)
const free = [...clients]
const schedule = job.rate ? startSchedule(job.rate) : undefined
if (!job.rate) for (const client of free.splice(0)) client.send(performance.now())

await sleep(job.warmUpSeconds * 1000)
process.stdout.write('start\n')
const cpuBefore = process.cpuUsage()
const startedAt = performance.now()
isMeasuring = true
await sleep(job.seconds * 1000)
isMeasuring = false
const seconds = (performance.now() - startedAt) / 1000
const cpu = process.cpuUsage(cpuBefore)
process.stdout.write(`${JSON.stringify(outcome())}\n`)
isOver = true
clearInterval(schedule)
for (const client of clients) client.socket.destroy()

function outcome(): Outcome {
  const sorted = samples.subarray(0, count).sort()
  const percentile = (share: number) => sorted[Math.min(count - 1, Math.floor(count * share))] ?? 0
  return {
    requests: count,
    seconds,
    errors,
    firstError,
    p50: percentile(0.5),
    p99: percentile(0.99),
    p999: percentile(0.999),
    generatorCpuUs: (cpu.user + cpu.system) / Math.max(1, count),
  }
}

/** Requests that are due come once a millisecond, whether or not the last ones were answered. */
function startSchedule(rate: number): NodeJS.Timeout {
  const from = performance.now()
  let sent = 0
  return setInterval(() => {
    const now = performance.now()
    for (const due = ((now - from) / 1000) * rate; sent < due; sent++) {
      const client = free.pop()
      if (client) client.send(now)
      else overdue.push(now)
    }
  }, TICK_MS)
}

interface Client {
  socket: Socket
  send(dueAt: number): void
}

/** A connection with one request on it at a time. */
async function openClient(port = job.port): Promise<Client> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  let dueAt = 0
  let missing = 0
  let checked: Buffer[] | undefined = []
  let id = 0

  const send = (due: number) => {
    dueAt = due
    id = 1 + Math.floor(Math.random() * job.ids)
    const body = job.body.replace('$id', String(id))
    const length = body === '' ? '' : `content-length: ${body.length}\r\n`
    socket.write(`${job.head.replace('$id', String(id))}${length}\r\n${body}`, 'latin1')
  }
  const answered = () => {
    const now = performance.now()
    if (isMeasuring && count < MAX_SAMPLES) samples[count++] = now - dueAt
    if (checked) {
      checkBody(Buffer.concat(checked).toString(), id)
      checked = undefined
    }
    if (isOver) return
    if (!job.rate) send(now)
    else if (overdue.length > 0) send(overdue.shift()!)
    else free.push(client)
  }
  socket.on('error', (error) => fail(error.message))
  socket.on('close', () => isOver || fail('The connection was closed'))
  socket.on('data', (chunk: Buffer) => {
    let body = chunk
    if (missing === 0) {
      const head = chunk.toString('latin1', 0, Math.min(chunk.length, 1024))
      const end = head.indexOf('\r\n\r\n')
      const length = /content-length: (\d+)/i.exec(head)?.[1]
      if (!head.startsWith(START) || end < 0 || !length) fail(head.slice(0, 400))
      missing = Number(length ?? 0)
      body = chunk.subarray(end + 4)
    }
    checked?.push(body)
    missing -= body.length
    if (missing <= 0) {
      missing = 0
      answered()
    }
  })
  const client = { socket, send }
  return client
}

/** The first answer of each connection is looked at as a whole. */
function checkBody(text: string, id: number): void {
  const { rows, error } = JSON.parse(text) as { rows?: { id?: number }[]; error?: string }
  const isRight =
    job.status === 200
      ? rows?.length === job.rows && (!hasId || rows[0]?.id === id)
      : typeof error === 'string'
  if (!isRight) fail(`Not the answer of ${id}: ${text.slice(0, 200)}`)
}

function fail(what: string): void {
  errors++
  firstError ||= what
}
