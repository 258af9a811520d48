import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../../errors.ts'
import { isPostgresError } from '../errors.ts'
import type { Outages } from './outages.ts'
import { hostsAndPorts, type Server } from './server.ts'

interface WatchOptions {
  server: Server
  outages: Outages
  /** Milliseconds since PostgreSQL last answered; Infinity after a connection was lost. */
  sinceLastAnswer: () => number
  /** Sends a query to PostgreSQL, and resolves when it has answered. */
  probe: (withinMs: number) => Promise<unknown>
}

const LOOK_EVERY_MS = 1000

/** Age of the last answer above which PostgreSQL is asked. The heartbeat has one every 5 s. */
const FRESH_ANSWER_MS = 6000

const PROBE_LIMIT_MS = 1500

/** All connections are in use, so that none was free to ask. */
const UNKNOWN = Symbol('unknown')

type Failure = string | typeof UNKNOWN

/** Pause before a second probe: one failure may be that of a busy event loop. */
const AGAIN_MS = 100

/**
 * Watches whether PostgreSQL answers, so that an outage is told even while nobody asks. Every answer
 * to any query counts; a probe is sent only where there was none for 6 s, or a connection was lost.
 */
export class PrimaryWatch {
  readonly #options: WatchOptions
  readonly #name: string
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> | undefined
  /** Milliseconds since 1970 of the last answer. */
  #answeredAt = Date.now()
  #isEnded = false
  #isUp = true
  #since = Date.now()

  constructor(options: WatchOptions) {
    this.#options = options
    this.#name = hostsAndPorts(options.server)
  }

  /** Whether PostgreSQL answered at the last look. */
  get isUp(): boolean {
    return this.#isUp
  }

  /** Since when it has answered; or when it answered last. Milliseconds since 1970. */
  get since(): number {
    return this.#since
  }

  /** Starts watching a PostgreSQL that has answered. */
  start(): void {
    this.#options.outages.end(this.#name, 'primary')
    this.#since = Date.now()
    this.#timer = setInterval(() => this.look(), LOOK_EVERY_MS).unref()
  }

  /** Looks now, such as when a connection was lost. Before `start` and after `end` it does nothing. */
  async look(): Promise<void> {
    if (!this.#timer || this.#isEnded) return
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined
    })
    await this.#looking
  }

  end(): void {
    this.#isEnded = true
    clearInterval(this.#timer)
  }

  async #look(): Promise<void> {
    const { sinceLastAnswer, outages } = this.#options
    const age = sinceLastAnswer()
    if (age < FRESH_ANSWER_MS) {
      this.#answeredAt = Date.now() - age
      this.#noteUp()
      return
    }
    let failure = await this.#probe()
    if (failure !== undefined && !outages.isDown(this.#name)) {
      await sleep(AGAIN_MS, undefined, { ref: false })
      failure = await this.#probe()
    }
    if (this.#isEnded || failure === UNKNOWN) return
    if (failure === undefined) {
      this.#answeredAt = Date.now()
      this.#noteUp()
    } else {
      if (this.#isUp) this.#since = this.#answeredAt
      this.#isUp = false
      const what = `does not answer (${failure})`
      outages.begin(this.#name, 'primary', { kind: 'silent', what }, this.#answeredAt)
    }
  }

  #noteUp(): void {
    if (!this.#isUp) this.#since = Date.now()
    this.#isUp = true
    this.#options.outages.end(this.#name, 'primary')
  }

  /** Returns why PostgreSQL does not answer; undefined if it does. */
  async #probe(): Promise<Failure | undefined> {
    const { probe, sinceLastAnswer } = this.#options
    const timeout = sleep(PROBE_LIMIT_MS, 'no answer', { ref: false })
    const answer = probe(PROBE_LIMIT_MS).then(
      () => undefined,
      (error) => reason(error),
    )
    const failure = await Promise.race([answer, timeout])
    // A call may have been answered in the meantime.
    return sinceLastAnswer() < FRESH_ANSWER_MS ? undefined : failure
  }
}

/** PostgreSQL's message or the code of the system, of the probe that got furthest. */
function reason(error: unknown): Failure {
  const errors = error instanceof AggregateError ? error.errors : [error]
  const last = errors.at(-1) as NodeJS.ErrnoException
  if (last instanceof GatewayError) {
    return last.code === 'pool_exhausted' ? UNKNOWN : (last.details.cause ?? last.message)
  }
  return isPostgresError(last) ? last.message : (last.code ?? last.message)
}
