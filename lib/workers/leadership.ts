import type { Member } from './crew.ts'
import type { ShareState, ToWorker } from './messages.ts'
import { MAIN, type Shares } from './shares.ts'

interface LeadershipOptions {
  /** Returns the workers that listen, by their numbers. */
  ready(): Member[]
  tell(worker: number, message: ToWorker): void
}

/**
 * Which worker divides PostgreSQL's connections with other gateways, and the shares that it has told. A
 * worker that does not lead writes what the leader has told into its own row of the gateways.
 */
export class Leadership {
  readonly #shares: Shares
  readonly #options: LeadershipOptions
  #leader: number | undefined

  constructor(shares: Shares, options: LeadershipOptions) {
    this.#shares = shares
    this.#options = options
    // As a gateway alone: one connection until it has joined the others.
    shares.setShare(MAIN, 1)
  }

  /** Makes a worker the leader, before it is told anything. */
  lead(worker: number): void {
    this.#leader = worker
  }

  /**
   * Chooses another leader if the present one does not listen any more.
   * @param silent one that listens but does not answer
   */
  choose(silent?: number): void {
    const ready = this.#options.ready().filter(({ id }) => id !== silent)
    if (ready.some(({ id }) => id === this.#leader) || ready.length === 0) return
    this.#leader = ready[0]!.id
    this.tell()
  }

  /** Takes the share that the leader has told. One that has led before is told the present one. */
  noteShare(worker: number, server: string, share: number): void {
    if (worker === this.#leader) this.#shares.setShare(server, share)
    this.tell()
  }

  /** What a worker is told. */
  stateOf(worker: number): { isLeader: boolean; shares: Record<string, ShareState> } {
    return { isLeader: worker === this.#leader, shares: this.#shares.states() }
  }

  tell(): void {
    for (const { id } of this.#options.ready()) {
      this.#options.tell(id, { type: 'share', ...this.stateOf(id) })
    }
  }
}
