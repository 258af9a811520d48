import { KINDS, type Kind } from './strikes.ts'

/** How a request ended: as it should, with an error that says why, without an answer. */
export type Outcome = 'right' | 'error' | 'cut'

/** How a database was found after a kill. */
export type Found = 'before' | 'after' | 'absent' | 'empty' | 'begun' | 'created'

type Requests = 'migrate' | 'register' | 'call'

/** What a run has seen, for the table at its end. */
export class Tally {
  readonly #kills = new Map<Kind, number>()
  readonly #outcomes = new Map<string, number>()
  readonly #found = new Map<Found, number>()
  readonly #longest = new Map<string, number>()
  #misses = 0

  /** A kill that came when nothing had begun, or all was done, is counted apart. */
  countKill(kind: Kind, isHit: boolean): void {
    if (isHit) count(this.#kills, kind)
    else this.#misses++
  }

  countOutcome(requests: Requests, outcome: Outcome): void {
    count(this.#outcomes, `${requests} ${outcome}`)
  }

  countFound(found: Found): void {
    count(this.#found, found)
  }

  /** Keeps the longest of all times that are told it. */
  time(what: string, ms: number): void {
    this.#longest.set(what, Math.max(ms, this.#longest.get(what) ?? 0))
  }

  async timed<T>(what: string, work: () => Promise<T>): Promise<T> {
    const started = performance.now()
    try {
      return await work()
    } finally {
      this.time(what, performance.now() - started)
    }
  }

  toString(): string {
    const line = (name: string, value: string | number) => `  ${name.padEnd(46)} ${value}`
    const outcomes = (requests: Requests) =>
      (['right', 'error', 'cut'] as const)
        .map((outcome) => `${this.#outcomes.get(`${requests} ${outcome}`) ?? 0} ${outcome}`)
        .join(', ')
    const found = (...states: Found[]) =>
      states.map((state) => `${this.#found.get(state) ?? 0} ${state}`).join(', ')
    return [
      `${sum(this.#kills)} kills that hit (${this.#misses} that missed do not count)`,
      ...KINDS.map((kind) => line(kind, this.#kills.get(kind) ?? 0)),
      'requests',
      line('/migrate', outcomes('migrate')),
      line('/register', outcomes('register')),
      line('/call meanwhile', outcomes('call')),
      'databases after a kill',
      line('that were migrated', found('before', 'after')),
      line('that were created', found('absent', 'empty', 'begun', 'created')),
      'longest',
      ...[...this.#longest].map(([what, ms]) => line(what, `${Math.round(ms)} ms`)),
    ].join('\n')
  }
}

function count<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

function sum(counts: Map<unknown, number>): number {
  return [...counts.values()].reduce((total, one) => total + one, 0)
}
