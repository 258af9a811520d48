import { Division } from './division.ts'
import type { PartReport, SessionReport, ShareState, ToWorker } from './messages.ts'

interface SharesOptions {
  send(worker: number, message: ToWorker): void
  /** Called when fewer connections are open, as a smaller share wants it. */
  onSettled(): void
  /** Called with a worker that has ended, and what is divided, where sessions of it may be left. */
  onLeft(name: string, worker: number): void
}

/** Name of the server of DATABASE_URL. */
export const MAIN = 'main'

/**
 * The divisions of all shares by the name of what is divided: a server, or one of its replicas, to which
 * as many connections may be open as to the server itself.
 */
export class Shares {
  readonly #workers: number
  readonly #options: SharesOptions
  readonly #divisions = new Map<string, { server: string; division: Division }>()
  readonly #members = new Set<number>()
  readonly #shares = new Map<string, number>()

  /** @param workers number of workers that divide the shares when all run */
  constructor(workers: number, options: SharesOptions) {
    this.#workers = workers
    this.#options = options
    this.#division(MAIN, MAIN)
  }

  /** Upper limit of the connections that are open, and the number that may be, to all servers. */
  get total(): { held: number; capacity: number } {
    const states = Object.values(this.states())
    return {
      held: states.reduce((sum, { held }) => sum + held, 0),
      capacity: states.reduce((sum, { share }) => sum + share, 0),
    }
  }

  /** The shares by server, each with the upper limit of the connections that are open. */
  states(): Record<string, ShareState> {
    const states: Record<string, ShareState> = {}
    for (const { server, division } of this.#divisions.values()) {
      const share = this.#shareOf(server)
      const held = Math.max(states[server]?.held ?? 0, share, division.held)
      states[server] = { share, held }
    }
    return states
  }

  setShare(server: string, connections: number): void {
    this.#shares.set(server, connections)
    for (const [name, one] of this.#divisions) {
      if (one.server === server) one.division.setShare(this.#divided(name, server))
    }
  }

  join(worker: number): void {
    this.#members.add(worker)
    for (const { division } of this.#divisions.values()) division.join(worker)
  }

  /** @param isClean whether the worker has closed its sessions before it ended */
  leave(worker: number, isClean: boolean): void {
    this.#members.delete(worker)
    for (const [name, { division }] of this.#divisions) {
      if (division.leave(worker, isClean)) this.#options.onLeft(name, worker)
    }
  }

  /** PostgreSQL's processes for the sessions that a worker had when it ended. */
  leftOf(name: string, worker: number): number[] {
    return this.#divisions.get(name)?.division.leftOf(worker) ?? []
  }

  /** As `Division.noteGone`. */
  noteGone(name: string, worker: number, gone: number[]): boolean {
    return this.#divisions.get(name)?.division.noteGone(worker, gone) ?? false
  }

  noteSession(worker: number, { name, pid, isOpen }: SessionReport): void {
    this.#divisions.get(name)?.division.noteSession(worker, pid, isOpen)
  }

  /** Takes a report. The first of a server begins its division. */
  report(worker: number, report: PartReport): void {
    if (this.#members.has(worker)) {
      this.#division(report.name, report.server).report(worker, report)
    }
  }

  end(): void {
    for (const { division } of this.#divisions.values()) division.end()
  }

  /** Of a server of which the leader has told nothing yet, each worker may open one connection. */
  #shareOf(server: string): number {
    return this.#shares.get(server) ?? this.#workers
  }

  /**
   * Of the connections to a replica the parent keeps one, with which it looks for what workers have left. To
   * a server it has that with which an ended worker has listened, which has no statement.
   */
  #divided(name: string, server: string): number {
    const share = this.#shareOf(server)
    return name === server ? share : Math.max(1, share - 1)
  }

  #division(name: string, server: string): Division {
    const known = this.#divisions.get(name)
    if (known) return known.division
    const division = new Division({
      workers: this.#workers,
      add: (worker, connections) => this.#options.send(worker, { type: 'add', name, connections }),
      ask: (worker, question) => this.#options.send(worker, { type: 'give', name, ...question }),
      onSettled: () => this.#options.onSettled(),
    })
    this.#divisions.set(name, { server, division })
    division.setShare(this.#divided(name, server))
    for (const member of this.#members) division.join(member)
    return division
  }
}
