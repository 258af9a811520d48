import { setTimeout as sleep } from 'node:timers/promises'
import { isPostgresError, NOT_PRIMARY } from '../errors.ts'
import { Probe, refusalOf } from './host-probe.ts'
import { type Found, PromotionWatch } from './promotion-watch.ts'
import { type Reached, type Route, reach } from './route.ts'
import { hostsOf, type Server, type SessionAttrs } from './server.ts'

/** Timeout of the socket to the last primary, and of the log-in there. */
const PATIENCE_MS = 2000

/** How long, after a primary was found, other hosts may still report a higher timeline. */
const GRACE_MS = 300

/**
 * AGAIN_MS: pause before a host that is not the primary is asked again. CERTAIN_MS: how long after
 * a search its result is not doubted.
 */
const AGAIN_MS = 250
const CERTAIN_MS = 1000

/**
 * Finds the primary among a server's hosts and opens sockets to it. Tries the last primary first;
 * where that does not answer or rejects writes, asks all hosts at once. With a single host there is
 * no search.
 */
export class Hosts implements Route {
  readonly #hosts: Server[]
  readonly #attrs: SessionAttrs
  /** Called when the primary has changed; connections to the old one are useless. */
  onMoved: ((from: Server, to: Server) => void) | undefined
  /** Primary to try first; undefined where a search is needed. */
  #current: Server | undefined
  #last: Server | undefined
  /** Timeline of the last primary. */
  #timeline = 0
  #search: Promise<Found> | undefined
  #watch: PromotionWatch | undefined
  #foundAt = Number.NEGATIVE_INFINITY
  #failedAt = Number.NEGATIVE_INFINITY

  constructor(server: Server) {
    this.#hosts = hostsOf(server)
    this.#attrs = server.sessionAttrs
  }

  /**
   * Watches the other hosts until `end`: where one has been promoted, connections go there, even if
   * the last primary still answers. Without it, a primary is left when it fails.
   */
  watch(): void {
    if (this.#hosts.length === 1) return
    this.#watch = new PromotionWatch({
      others: () => (this.#last ? this.#hosts.filter((host) => host !== this.#last) : []),
      ask: async (host, timeoutMs) => {
        const probe = new Probe(host, this.#attrs, timeoutMs)
        return probe.ask().finally(() => probe.end())
      },
      onPromoted: (found) => {
        if (found.timeline > this.#timeline) this.#move(found)
      },
    })
  }

  /** Ends the watch. */
  end(): void {
    this.#watch?.end()
  }

  /**
   * Opens a socket to the primary. A search opens one session at each host. These sessions need no
   * permit beyond the caller's: its own socket is opened after they are closed.
   * @throws {Error} NOT_PRIMARY where hosts answer but none is the primary; as `openSocket`
   */
  async open(timeoutMs: number): Promise<Reached> {
    const [only] = this.#hosts
    if (this.#hosts.length === 1) return reach(only!, timeoutMs)
    const until = performance.now() + timeoutMs
    const known = this.#current
    if (known) {
      try {
        const reached = await reach(known, Math.min(PATIENCE_MS, timeoutMs))
        if (this.#last === known) return { ...reached, patienceMs: PATIENCE_MS }
        // A search has found another primary in the meantime.
        reached.socket.destroy()
      } catch {
        if (this.#current === known) this.#current = undefined
      }
    }
    const left = () => Math.max(1, until - performance.now())
    const found = this.#current ?? (await this.#find(left())).host
    const reached = await reach(found, left())
    if (this.#last === found) return reached
    reached.socket.destroy()
    return this.open(left())
  }

  /** Returns the error where a reported parameter shows that the host is not the primary. */
  refusal(host: Server, parameter: string, value: string): Error | undefined {
    return refusalOf(this.#attrs, host, parameter, value)
  }

  /** A session with the host failed or was refused: the next `open` searches again. */
  doubt(host: Server): void {
    const isCertain = performance.now() - this.#foundAt < CERTAIN_MS
    if (this.#current === host && !isCertain) this.#current = undefined
  }

  /** Searches for the primary; concurrent callers share one search. */
  #find(timeoutMs: number): Promise<Found> {
    this.#search ??= this.#searchAll(timeoutMs)
      .then(
        (found) => {
          this.#move(found)
          return found
        },
        (error) => {
          this.#failedAt = performance.now()
          throw error
        },
      )
      .finally(() => {
        this.#search = undefined
      })
    return this.#search
  }

  #move({ host, timeline }: Found): void {
    const from = this.#last
    this.#foundAt = performance.now()
    this.#timeline = timeline
    this.#current = host
    this.#last = host
    if (from && from !== host) this.onMoved?.(from, host)
  }

  async #searchAll(timeoutMs: number): Promise<Found> {
    const tooSoonMs = AGAIN_MS - (performance.now() - this.#failedAt)
    if (tooSoonMs > 0) await sleep(Math.min(tooSoonMs, timeoutMs))
    const found: Found[] = []
    const errors = new Map<Server, unknown>()
    const probes = new Set<Probe>()
    let isOver = false
    const ask = async (host: Server) => {
      while (!isOver) {
        const probe = new Probe(host, this.#attrs, timeoutMs)
        probes.add(probe)
        try {
          found.push({ host, timeline: await probe.ask() })
          return
        } catch (error) {
          errors.set(host, error)
          probes.delete(probe)
          await probe.end()
        }
        // A host that refused may be promoted while another host has not answered.
        if (errors.size === this.#hosts.length) return
        await sleep(AGAIN_MS)
      }
    }
    const asked = this.#hosts.map(ask)
    await firstFound(asked, found)
    await Promise.race([Promise.all(asked), sleep(GRACE_MS, undefined, { ref: false })])
    isOver = true
    await Promise.all([...probes].map((probe) => probe.end()))
    const newest = found.sort((a, b) => b.timeline - a.timeline)[0]
    if (newest) return newest
    throw [...errors.values()].sort((a, b) => weight(b) - weight(a))[0]
  }
}

/** Resolves when one primary is found or all probes have ended. */
async function firstFound(asked: Promise<void>[], found: Found[]): Promise<void> {
  await new Promise<void>((resolve) => {
    for (const one of asked) one.then(() => found.length > 0 && resolve())
    Promise.all(asked).then(() => resolve())
  })
}

/** Rank of an error: the error of several hosts is the one with the highest rank. */
function weight(error: unknown): number {
  if ((error as NodeJS.ErrnoException).code === NOT_PRIMARY) return 2
  return isPostgresError(error) ? 1 : 0
}
