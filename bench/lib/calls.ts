import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { callJob, type Job, type Load, load } from './load.ts'
import { median } from './measure.ts'
import type { Pgbench } from './pgbench.ts'
import { type Rig, type Service, startGateway } from './rig.ts'
import { digits, table, times } from './table.ts'

const CLIENTS = [1, 32, 100]
const MEGABYTE = 1e6

/** All that is measured. */
export interface Bench {
  /** Of each measurement. */
  seconds: number
  /** How often what is compared is measured in turn. */
  rounds: number
  rig: Rig
  gateway: Service
  peer: Service | undefined
  pgbench: Pgbench | undefined
}

async function put(
  { rig, seconds }: Bench,
  service: Service,
  name: string,
  params: string,
  job: Partial<Job>,
) {
  const { pid, port } = service
  const full = callJob(port, name, params, {
    rows: 1,
    clients: 32,
    seconds,
    ...job,
  })
  return load(full, { pid, postmaster: rig.postmaster }, rig.signal)
}

/** One round of a comparison. */
interface Round {
  pgbench: number | undefined
  gateway: Load
  peer: Load | undefined
}

async function compare(
  bench: Bench,
  name: string,
  params: string,
  script: string,
  job: Partial<Job>,
): Promise<Round[]> {
  const rounds: Round[] = []
  for (let i = 0; i < bench.rounds; i++) {
    const pgbench = await bench.pgbench?.(script, bench.seconds)
    const gateway = await put(bench, bench.gateway, name, params, job)
    const peer = bench.peer && (await put(bench, bench.peer, name, params, job))
    rounds.push({ pgbench, gateway, peer })
  }
  return rounds
}

/** The median over the rounds; NaN where there is nothing to it. */
function middle(rounds: Round[], value: (round: Round) => number | undefined): number {
  const values = rounds.map(value).filter((one) => one !== undefined)
  return values.length > 0 ? median(values) : Number.NaN
}

const HEADER = [
  'clients',
  'calls/s',
  'of pgbench',
  'of peer',
  'CPU µs',
  'peer CPU µs',
  'PostgreSQL CPU µs',
  'p50 ms',
  'p99',
  'p99.9',
  'peer p50',
  'p99',
]

function comparisonRow(clients: number, rounds: Round[]): string[] {
  return [
    `${clients}`,
    digits(middle(rounds, ({ gateway }) => gateway.perSecond)),
    digits(middle(rounds, ({ gateway, pgbench }) => pgbench && gateway.perSecond / pgbench)),
    times(middle(rounds, ({ gateway, peer }) => peer && gateway.perSecond / peer.perSecond)),
    digits(middle(rounds, ({ gateway }) => gateway.cpuUs)),
    digits(middle(rounds, ({ peer }) => peer?.cpuUs)),
    digits(middle(rounds, ({ gateway }) => gateway.postgresCpuUs)),
    digits(middle(rounds, ({ gateway }) => gateway.p50)),
    digits(middle(rounds, ({ gateway }) => gateway.p99)),
    digits(middle(rounds, ({ gateway }) => gateway.p999)),
    digits(middle(rounds, ({ peer }) => peer?.p50)),
    digits(middle(rounds, ({ peer }) => peer?.p99)),
  ]
}

export async function measureOneRow(bench: Bench): Promise<void> {
  const script = '\\set id random(1, 100000)\nselect * from get_item(:id);\n'
  const rows = [HEADER]
  let last: Round[] = []
  for (const clients of CLIENTS) {
    last = await compare(bench, 'get_item', '$id', script, { clients })
    rows.push(comparisonRow(clients, last))
  }
  print('One row by primary key', rows, [
    'With 32 clients: aim 0.50 of pgbench (floor 0.35), 70 µs of CPU, 1.5x the peer.',
    `pgbench: ${digits(middle(last, ({ pgbench }) => pgbench))} transactions/s. The load generator itself takes ${digits(middle(last, ({ gateway }) => gateway.generatorCpuUs))} µs a call.`,
  ])
}

export async function measureManyRows(bench: Bench): Promise<void> {
  const script = 'select json_agg(r) from (select * from list_items(1000)) r;\n'
  const rows = [HEADER]
  for (const clients of CLIENTS) {
    const rounds = await compare(bench, 'list_items', '1000', script, { clients, rows: 1000 })
    rows.push(comparisonRow(clients, rounds))
  }
  print('1,000 rows of 5 columns', rows, [
    'pgbench fetches the same JSON. Aim 0.85 of it (floor 0.70), 500 µs of CPU, a quarter of the peer’s.',
  ])
}

export async function measureHalfLoad(bench: Bench): Promise<void> {
  const rows = [['', 'calls/s', 'p50 ms', 'p99', 'p99.9', 'p99 : p50']]
  const services = { gateway: bench.gateway, ...(bench.peer && { peer: bench.peer }) }
  for (const [name, service] of Object.entries(services)) {
    const full = await put(bench, service, 'get_item', '$id', {})
    const rate = full.perSecond / 2
    const half = await put(bench, service, 'get_item', '$id', { rate })
    rows.push([
      name,
      digits(half.perSecond),
      digits(half.p50),
      digits(half.p99),
      digits(half.p999),
      times(half.p99 / half.p50),
    ])
  }
  print('One row, on a schedule of half the throughput with 32 clients', rows, [
    'Aim: p99 at most 3x p50. What is due comes in bursts, once a millisecond.',
  ])
}

export async function measureSlowNeighbour(bench: Bench): Promise<void> {
  const rows = [['', 'calls/s', 'p50 ms', 'p99', 'p99 : alone']]
  const fast = { clients: 4, rate: 500 }
  const services = { gateway: bench.gateway, ...(bench.peer && { peer: bench.peer }) }
  for (const [name, service] of Object.entries(services)) {
    const alone = await put(bench, service, 'get_item', '$id', fast)
    const slow = put(bench, service, 'wait_for', '0.5', {
      clients: 9,
      seconds: bench.seconds + 2,
    })
    await sleep(1000)
    const beside = await put(bench, service, 'get_item', '$id', fast)
    await slow
    for (const [what, { perSecond, p50, p99 }] of Object.entries({ alone, beside })) {
      const ratio = what === 'beside' ? times(p99 / alone.p99) : ''
      rows.push([`${name}, ${what}`, digits(perSecond), digits(p50), digits(p99), ratio])
    }
  }
  print('A quick function beside nine callers of one that takes 500 ms', rows, [
    'Aim: p99 below 3x.',
  ])
}

export async function measureBigResult(bench: Bench): Promise<void> {
  const { gateway } = bench
  const rows = [['', 'status', 'MB of answer', 'MB of RSS more', 'p99 ms meanwhile', 'alone']]
  const alone = await put(bench, gateway, 'get_item', '$id', { rate: 500, clients: 4 })
  for (const [what, megabytes, accept] of [
    ['100 MB, as JSON', 100, 'application/json'],
    ['60 MB, as JSON', 60, 'application/json'],
    ['100 MB, as a stream', 100, 'application/x-ndjson'],
  ] as const) {
    const idle = rss(gateway.pid)
    let most = idle
    const sampler = setInterval(() => {
      most = Math.max(most, rss(gateway.pid))
    }, 5)
    const meanwhile = put(bench, gateway, 'get_item', '$id', { rate: 500, clients: 4 })
    await sleep(1500)
    const response = await fetch(`${gateway.url}/call`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept },
      body: JSON.stringify({ platform: 'bench', function: 'big_result', params: [megabytes] }),
    })
    let bytes = 0
    for await (const chunk of response.body!) bytes += chunk.length
    const { p99 } = await meanwhile
    clearInterval(sampler)
    rows.push([
      what,
      `${response.status}`,
      digits(bytes / MEGABYTE),
      digits((most - idle) / MEGABYTE),
      digits(p99),
      digits(alone.p99),
    ])
  }
  print('Big results', rows, [
    'Aim: 64 MB of RSS, or 413 result_too_large (MAX_RESULT_BYTES 64 MiB).',
  ])
}

/** Resident memory of a process, in bytes; NaN where there is no /proc. */
function rss(pid: number): number {
  try {
    const kilobytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return Number(kilobytes) * 1024
  } catch {
    return Number.NaN
  }
}

export async function measureLog(bench: Bench): Promise<void> {
  const { rig, rounds } = bench
  const start = (level: string) =>
    startGateway(rig.folder, rig.databaseUrl, { LOG_LEVEL: level }, rig.stopping)
  const [info, error] = [await start('info'), await start('error')]
  const differences: number[] = []
  try {
    for (let i = 0; i < rounds + 2; i++) {
      const loud = await put(bench, info, 'get_item', '$id', {})
      const quiet = await put(bench, error, 'get_item', '$id', {})
      differences.push(loud.cpuUs - quiet.cpuUs)
    }
  } finally {
    await Promise.all([info.stop(), error.stop()])
  }
  const rows = [
    ['rounds', ...differences.map((_, i) => `${i + 1}`), 'median'],
    ['µs a call', ...differences.map(digits), digits(median(differences))],
  ]
  print('What the log costs: CPU at LOG_LEVEL=info less that at error', rows, ['Aim: below 5 µs.'])
}

function print(title: string, rows: string[][], notes: string[]): void {
  console.log(`${title}\n\n${table(rows)}\n\n${notes.join('\n')}\n`)
}
