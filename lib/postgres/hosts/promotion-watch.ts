import type { Server } from './server.ts'

/** A host that is a primary. */
export interface Found {
  host: Server
  /** Timeline of the host; of two primaries, the newer one has the higher timeline. */
  timeline: number
}

interface WatchOptions {
  /** The hosts that are not the primary in use. */
  others: () => Server[]
  /**
   * @returns the host's timeline
   * @throws {Error} if it is no primary, or does not answer
   */
  ask: (host: Server, timeoutMs: number) => Promise<number>
  onPromoted: (found: Found) => void
}

const EVERY_MS = 1000
const TIMEOUT_MS = 2000

/**
 * Asks the other hosts every second whether one of them has been promoted. A cluster manager that was
 * killed leaves its old primary running: that takes sessions, while its commits wait forever for the
 * standby that has been promoted. A frozen primary keeps its connections open likewise.
 */
export class PromotionWatch {
  readonly #options: WatchOptions
  readonly #timer: NodeJS.Timeout
  /** Hosts that have not answered the last question. */
  readonly #asked = new Set<Server>()
  #isEnded = false

  constructor(options: WatchOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#look(), EVERY_MS).unref()
  }

  end(): void {
    this.#isEnded = true
    clearInterval(this.#timer)
  }

  #look(): void {
    for (const host of this.#options.others()) {
      if (!this.#asked.has(host)) this.#ask(host)
    }
  }

  async #ask(host: Server): Promise<void> {
    this.#asked.add(host)
    try {
      const timeline = await this.#options.ask(host, TIMEOUT_MS)
      if (!this.#isEnded) this.#options.onPromoted({ host, timeline })
    } catch {
      // It is a standby, or away: nothing has changed.
    } finally {
      this.#asked.delete(host)
    }
  }
}
