import { setTimeout as sleep } from 'node:timers/promises'
import { residentMemory } from '../cpu.ts'
import { median } from '../measure.ts'
import { startGateway } from '../rig.ts'
import { digits, times } from '../table.ts'
import { type Bench, print, put } from './bench.ts'
import type { Load } from './load.ts'

const MEGABYTE = 1e6
const ONE_ROW = { name: 'get_item', params: '$id' }

/** Latencies at half the throughput; gateway and peer in turn, round by round, and the gateway with the peer's calls. */
export async function measureHalfLoad(bench: Bench): Promise<void> {
  const services = { gateway: bench.gateway, ...(bench.peer && { peer: bench.peer }) }
  const loads: Record<string, Load[]> = {}
  const note = (name: string, load: Load) => {
    loads[name] = [...(loads[name] ?? []), load]
  }
  for (let round = 0; round < bench.rounds; round++) {
    let rate = 0
    for (const [name, service] of Object.entries(services)) {
      const full = await put(bench, service, ONE_ROW, {})
      rate = full.perSecond / 2
      note(name, await put(bench, service, ONE_ROW, { rate }))
    }
    if (bench.peer)
      note('gateway, at the rate of the peer', await put(bench, bench.gateway, ONE_ROW, { rate }))
  }
  const rows = [['', 'calls/s', 'p50 ms', 'p99', 'p99.9', 'p99 : p50', 'of each round']]
  for (const [name, halves] of Object.entries(loads)) {
    const middle = (value: (half: Load) => number) => median(halves.map(value))
    const ratio = (half: Load) => half.p99 / half.p50
    rows.push([
      name,
      digits(middle(({ perSecond }) => perSecond)),
      digits(middle(({ p50 }) => p50)),
      digits(middle(({ p99 }) => p99)),
      digits(middle(({ p999 }) => p999)),
      times(middle(ratio)),
      halves.map((half) => digits(ratio(half))).join(', '),
    ])
  }
  print(
    'One row, on a schedule of half the throughput with 32 clients',
    rows,
    "Aim: p99 at most 5x p50, and no worse a ratio than the peer's. What is due comes in bursts, once a millisecond.",
  )
}

/** What a quick function notices of slow ones. */
export async function measureSlowNeighbour(bench: Bench): Promise<void> {
  const rows = [['', 'calls/s', 'p50 ms', 'p99', 'p99 : alone']]
  const fast = { clients: 4, rate: 500 }
  const services = { gateway: bench.gateway, ...(bench.peer && { peer: bench.peer }) }
  for (const [name, service] of Object.entries(services)) {
    const alone = await put(bench, service, ONE_ROW, fast)
    const slow = put(
      bench,
      service,
      { name: 'wait_for', params: '0.5' },
      {
        clients: 9,
        seconds: bench.seconds + 2,
      },
    )
    await sleep(1000)
    const beside = await put(bench, service, ONE_ROW, fast)
    await slow
    for (const [what, { perSecond, p50, p99 }] of Object.entries({ alone, beside })) {
      const ratio = what === 'beside' ? times(p99 / alone.p99) : ''
      rows.push([`${name}, ${what}`, digits(perSecond), digits(p50), digits(p99), ratio])
    }
  }
  print('A quick function beside nine callers of one that takes 500 ms', rows, 'Aim: p99 below 3x.')
}

/** Memory, and what a quick function notices. */
export async function measureBigResult(bench: Bench): Promise<void> {
  const { gateway } = bench
  const rows = [['', 'status', 'MB of answer', 'MB of RSS more', 'p99 ms meanwhile', 'alone']]
  const alone = await put(bench, gateway, ONE_ROW, { rate: 500, clients: 4 })
  for (const [what, megabytes, accept] of [
    ['100 MB, as JSON', 100, 'application/json'],
    ['60 MB, as JSON', 60, 'application/json'],
    ['100 MB, as a stream', 100, 'application/x-ndjson'],
  ] as const) {
    const idle = residentMemory(gateway.pid)
    let most = idle
    const sampler = setInterval(() => {
      most = Math.max(most, residentMemory(gateway.pid))
    }, 5)
    const meanwhile = put(bench, gateway, ONE_ROW, { rate: 500, clients: 4 })
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
  print(
    'Big results',
    rows,
    'Aim: 64 MB of RSS, or 413 result_too_large (MAX_RESULT_BYTES 64 MiB).',
  )
}

/** CPU at LOG_LEVEL=info less that at error. */
export async function measureLog(bench: Bench): Promise<void> {
  const { rig, rounds } = bench
  const start = (level: string) => startGateway(rig, { LOG_LEVEL: level })
  const [info, error] = [await start('info'), await start('error')]
  const differences: number[] = []
  try {
    for (let i = 0; i < rounds + 2; i++) {
      const loud = await put(bench, info, ONE_ROW, {})
      const quiet = await put(bench, error, ONE_ROW, {})
      differences.push(loud.cpuUs - quiet.cpuUs)
    }
  } finally {
    await Promise.all([info.stop(), error.stop()])
  }
  const rows = [
    ['rounds', ...differences.map((_, i) => `${i + 1}`), 'median'],
    ['µs a call', ...differences.map(digits), digits(median(differences))],
  ]
  print('What the log costs: CPU at LOG_LEVEL=info less that at error', rows, 'Aim: below 5 µs.')
}
