import { median } from '../measure.ts'
import { digits, times } from '../table.ts'
import { type Bench, type Call, put } from './bench.ts'
import type { Job, Load } from './load.ts'

/** One round of a comparison: pgbench, gateway and peer, one after the other. */
export interface Round {
  /** Transactions a second. */
  pgbench: number | undefined
  gateway: Load
  peer: Load | undefined
}

/** Measures in turn, round by round. `script` is pgbench's. */
export async function compare(
  bench: Bench,
  call: Call,
  script: string,
  job: Partial<Job>,
): Promise<Round[]> {
  const rounds: Round[] = []
  for (let i = 0; i < bench.rounds; i++) {
    const pgbench = await bench.pgbench?.(script, bench.seconds)
    const gateway = await put(bench, bench.gateway, call, job)
    const peer = bench.peer && (await put(bench, bench.peer, call, job))
    rounds.push({ pgbench, gateway, peer })
  }
  return rounds
}

/** The median over the rounds; NaN where there is nothing to it. */
export function middle(rounds: Round[], value: (round: Round) => number | undefined): number {
  const values = rounds.map(value).filter((one) => one !== undefined)
  return values.length > 0 ? median(values) : Number.NaN
}

/** Calls a second, as a share of pgbench's transactions. */
export const ofPgbench = (rounds: Round[]) =>
  middle(rounds, ({ gateway, pgbench }) => pgbench && gateway.perSecond / pgbench)

/** Calls a second, as a multiple of the peer's. */
export const ofPeer = (rounds: Round[]) =>
  middle(rounds, ({ gateway, peer }) => peer && gateway.perSecond / peer.perSecond)

/** CPU a call, as a share of the peer's. */
export const ofPeerCpu = (rounds: Round[]) =>
  middle(rounds, ({ gateway, peer }) => peer && gateway.cpuUs / peer.cpuUs)

export const HEADER = [
  '',
  'calls/s',
  'of pgbench',
  'of peer',
  'CPU µs',
  'of peer CPU',
  'peer CPU µs',
  'PostgreSQL CPU µs',
  'p50 ms',
  'p99',
  'p99.9',
  'peer p50',
  'p99',
]

export function comparisonRow(name: string, rounds: Round[]): string[] {
  return [
    name,
    digits(middle(rounds, ({ gateway }) => gateway.perSecond)),
    digits(ofPgbench(rounds)),
    times(ofPeer(rounds)),
    digits(middle(rounds, ({ gateway }) => gateway.cpuUs)),
    digits(ofPeerCpu(rounds)),
    digits(middle(rounds, ({ peer }) => peer?.cpuUs)),
    digits(middle(rounds, ({ gateway }) => gateway.postgresCpuUs)),
    digits(middle(rounds, ({ gateway }) => gateway.p50)),
    digits(middle(rounds, ({ gateway }) => gateway.p99)),
    digits(middle(rounds, ({ gateway }) => gateway.p999)),
    digits(middle(rounds, ({ peer }) => peer?.p50)),
    digits(middle(rounds, ({ peer }) => peer?.p99)),
  ]
}
