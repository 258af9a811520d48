import { metric, single } from './definitions.ts'
import type { Metric, Sample } from './text.ts'
import { OTHERS } from './top-series.ts'

/** States of a database. */
const STATES = ['synced', 'pending', 'drifted', 'failed', 'suspended', 'missing'] as const

/** Numbers of a platform's databases by state. */
export type FleetSum = { platform: string; databases: number } & Record<
  (typeof STATES)[number],
  number
>

/** Numbers of one server. */
export interface FleetSums {
  server: string
  answer: FleetSum[]
}

const RENEW_AFTER_MS = 60_000

/** Platforms with series of their own; the rest is one. */
const MOST_PLATFORMS = 200

/**
 * The numbers of databases by platform and state, from the catalog. They are read in the background
 * while somebody asks, so that no scrape waits for PostgreSQL.
 */
export class FleetNumbers {
  readonly #read: () => Promise<FleetSums[]>
  /** The last numbers of each server: one that is away keeps them. */
  readonly #sums = new Map<string, FleetSum[]>()
  #readAt: number | undefined
  #askedAt = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | undefined

  /** @param read reads the numbers of each server that answers */
  constructor(read: () => Promise<FleetSums[]>) {
    this.#read = read
  }

  /** Reads the numbers anew if they are old; resolves when they were read. Never rejects. */
  renew(): Promise<void> {
    if (performance.now() - this.#askedAt < RENEW_AFTER_MS)
      return this.#reading ?? Promise.resolve()
    this.#askedAt = performance.now()
    this.#reading ??= this.#read()
      .then((sums) => {
        for (const { server, answer } of sums) this.#sums.set(server, answer)
        this.#readAt = performance.now()
      })
      .catch(() => {})
      .finally(() => {
        this.#reading = undefined
      })
    return this.#reading
  }

  /** Returns the number of databases on a server; undefined until it is known. Has it read if it is old. */
  databasesOf(server: string): number | undefined {
    this.renew()
    const sums = this.#sums.get(server)
    return sums?.reduce((total, { databases }) => total + databases, 0)
  }

  /** Returns the metrics as they were read last; without samples before the first time. */
  metrics(): Metric[] {
    this.renew()
    const age = this.#readAt === undefined ? undefined : (performance.now() - this.#readAt) / 1000
    return [
      metric('db_gateway_databases', samplesOf(addUp([...this.#sums.values()]))),
      single('db_gateway_databases_age_seconds', age),
    ]
  }
}

/** Adds up the platforms of several servers. */
function addUp([first = [], ...others]: FleetSum[][]): FleetSum[] {
  if (others.length === 0) return first
  const sums = new Map(first.map((one) => [one.platform, { ...one }]))
  for (const one of others.flat()) {
    const sum = sums.get(one.platform)
    if (sum) for (const name of ['databases', ...STATES] as const) sum[name] += one[name]
    else sums.set(one.platform, { ...one })
  }
  return [...sums.values()]
}

function samplesOf(sums: FleetSum[]): Sample[] {
  const sorted = sums.toSorted((one, other) => other.databases - one.databases)
  const rest = sorted.slice(MOST_PLATFORMS)
  const samples = (platform: string, of: (state: (typeof STATES)[number]) => number) =>
    STATES.map((state) => ({ labels: { platform, state }, value: of(state) }))
  return [
    ...sorted
      .slice(0, MOST_PLATFORMS)
      .flatMap((one) => samples(one.platform, (state) => one[state])),
    ...(rest.length > 0
      ? samples(OTHERS, (state) => rest.reduce((sum, one) => sum + one[state], 0))
      : []),
  ]
}
