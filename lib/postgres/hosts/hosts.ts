import { setTimeout as sleep } from 'node:timers/promises'
import { isPostgresError, NOT_PRIMARY } from '../errors.ts'
import { Connection } from '../pools/connection.ts'
import { directRoute, type Reached, type Route, reach } from './route.ts'
import { describeHost, hostsOf, type Server, type SessionAttrs } from './server.ts'

interface Found {
  host: Server
  /** The newer of two that both say that they are the primary has the greater one. */
  timeline: number
}

/** How long opening a socket to the host that was good last may take, and how long logging in. */
const PATIENCE_MS = 2000

/** When one has been found, how long the others have to say that they are the newer primary. */
const GRACE_MS = 300

/** So long after a "no" a host is asked again. What was found is not doubted for so long. */
const AGAIN_MS = 250
const CERTAIN_MS = 1000

/**
 * Finds the one of a server's hosts that is the primary, and opens sockets to it. The one that was
 * good last is tried first; where it does not answer, or does not take sessions that write, all are
 * asked at once. With one host there is nothing to find.
 */
export class Hosts implements Route {
  readonly #hosts: Server[]
  readonly #attrs: SessionAttrs
  /** Called when the primary is another than before: connections elsewhere are of no use. */
  onMoved: ((from: Server, to: Server) => void) | undefined
  /** Undefined where it has to be looked for. */
  #current: Server | undefined
  #last: Server | undefined
  #search: Promise<Server> | undefined
  #foundAt = Number.NEGATIVE_INFINITY
  #failedAt = Number.NEGATIVE_INFINITY

  constructor(server: Server) {
    this.#hosts = hostsOf(server)
    this.#attrs = server.sessionAttrs
  }

  /**
   * A socket to the primary. While it is looked for, one session is open at each host, under the
   * permit of a caller whose own socket comes after that.
   * @throws {Error} NOT_PRIMARY where hosts answer, but none is one; as `openSocket`
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
        // Meanwhile another one was found to be the primary.
        reached.socket.destroy()
      } catch {
        if (this.#current === known) this.#current = undefined
      }
    }
    const left = () => Math.max(1, until - performance.now())
    const found = this.#current ?? (await this.#find(left()))
    return reach(found, left())
  }

  /** Why a session with this value of a parameter that the server reports is of no use here. */
  refusal(host: Server, parameter: string, value: string): Error | undefined {
    return refusalOf(this.#attrs, host, parameter, value)
  }

  /** A session there did not begin, or is not what it should be: the next one looks again. */
  doubt(host: Server): void {
    const isCertain = performance.now() - this.#foundAt < CERTAIN_MS
    if (this.#current === host && !isCertain) this.#current = undefined
  }

  /** All who need it at the same time share one search. */
  #find(timeoutMs: number): Promise<Server> {
    this.#search ??= this.#searchAll(timeoutMs)
      .then(
        (host) => {
          this.#foundAt = performance.now()
          this.#move(host)
          return host
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

  #move(host: Server): void {
    const from = this.#last
    this.#current = host
    this.#last = host
    if (from && from !== host) this.onMoved?.(from, host)
  }

  async #searchAll(timeoutMs: number): Promise<Server> {
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
        // While another one is silent, this one may be promoted.
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
    if (newest) return newest.host
    throw [...errors.values()].sort((a, b) => weight(b) - weight(a))[0]
  }
}

/** One session with a host, to see whether it is the primary. */
class Probe {
  readonly host: Server
  readonly #connection: Connection
  #hasAnswered = false

  constructor(host: Server, attrs: SessionAttrs, timeoutMs: number) {
    this.host = host
    const route: Route = {
      ...directRoute(host),
      refusal: (_, parameter, value) => refusalOf(attrs, host, parameter, value),
    }
    const options = {
      database: host.database,
      route,
      connectTimeoutMs: timeoutMs,
      statementTimeoutMs: timeoutMs,
    }
    this.#connection = new Connection(host, options, () => {})
  }

  /** @throws {Error} NOT_PRIMARY; as `openSocket`; of PostgreSQL, which refuses the session */
  async ask(): Promise<number> {
    const [row] = await this.#connection.sql<{ file: string }[]>`
      select pg_walfile_name(pg_current_wal_lsn()) as file
    `
    this.#hasAnswered = true
    // PostgreSQL manual, "WAL Internals": the first 8 digits are the timeline.
    return Number.parseInt(row!.file.slice(0, 8), 16)
  }

  /** Says goodbye to one that has answered, and cuts the others. */
  async end(): Promise<void> {
    if (this.#hasAnswered) await this.#connection.close()
    else this.#connection.destroy()
  }
}

/** Resolves when one has been found, or all have ended. */
async function firstFound(asked: Promise<void>[], found: Found[]): Promise<void> {
  await new Promise<void>((resolve) => {
    for (const one of asked) one.then(() => found.length > 0 && resolve())
    Promise.all(asked).then(() => resolve())
  })
}

/** `in_hot_standby` and `default_transaction_read_only` are reported since PostgreSQL 14. */
function refusalOf(
  attrs: SessionAttrs,
  host: Server,
  parameter: string,
  value: string,
): Error | undefined {
  if (attrs === 'any' || value !== 'on') return undefined
  if (parameter === 'in_hot_standby') return notPrimary(`${describeHost(host)} is a standby`)
  if (attrs === 'read-write' && parameter === 'default_transaction_read_only') {
    return notPrimary(`${describeHost(host)} is read-only`)
  }
  return undefined
}

function notPrimary(message: string): Error {
  return Object.assign(new Error(message), { code: NOT_PRIMARY })
}

/** The error that tells most of several hosts goes before. */
function weight(error: unknown): number {
  if ((error as NodeJS.ErrnoException).code === NOT_PRIMARY) return 2
  return isPostgresError(error) ? 1 : 0
}
