import type { DividedPools } from '../cluster/service.ts'
import type { GiveUp, PartReport, SessionReport } from './messages.ts'

/** Milliseconds between reports while this worker wants more connections. */
const WANT_EVERY_MS = 20

/** The connections to one server that a worker may have open. It tells the parent what it needs. */
export class Part {
  readonly #name: string
  readonly #server: string
  readonly #pools: DividedPools
  readonly #send: (report: PartReport) => void
  readonly #need: ReturnType<DividedPools['watchNeed']>
  #capacity: number
  #received = 0
  #isDue = false
  /** What the parent knows. */
  #wanted = 0
  #held = 0
  #again: NodeJS.Timeout | undefined

  /** @param received connections that it was given before */
  constructor(
    name: string,
    server: string,
    pools: DividedPools,
    received: number,
    send: (report: PartReport | SessionReport) => void,
  ) {
    this.#name = name
    this.#server = server
    this.#pools = pools
    this.#send = send
    this.#capacity = received
    this.#received = received
    this.#need = pools.watchNeed(
      () => this.#noteNeed(),
      (pid, isOpen) => send({ type: 'session', name, pid, isOpen }),
    )
    pools.setCapacity(this.#capacity)
    this.#report(false)
  }

  /** Takes connections that the parent gives. */
  add(connections: number): void {
    this.#received += connections
    this.#capacity += connections
    this.#pools.setCapacity(this.#capacity)
    this.#report(false)
  }

  /** Gives up connections that are not in use, and beyond a fair part also those that are, when they end. */
  give({ most, least, fair }: Pick<GiveUp, 'most' | 'least' | 'fair'>): void {
    const { busy } = this.#need()
    const idle = Math.max(0, Math.min(most, this.#capacity - Math.max(busy, least)))
    let capacity = this.#capacity - idle
    if (fair !== null) capacity = Math.min(capacity, Math.max(fair, this.#capacity - most))
    if (capacity !== this.#capacity) {
      this.#capacity = capacity
      this.#pools.setCapacity(capacity)
    }
    this.#report(true)
  }

  /** Once a turn of the event loop at most, and nothing while enough connections are there. */
  #noteNeed(): void {
    if (this.#isDue) return
    this.#isDue = true
    setImmediate(() => {
      this.#isDue = false
      const { wanted, held } = this.#need()
      // Closed connections matter where more are open than may be.
      if (wanted > this.#wanted || (this.#held > this.#capacity && held < this.#held)) {
        this.#report(false)
      }
    })
  }

  #report(isAnswer: boolean): void {
    const { held, busy, wanted } = this.#need()
    this.#held = held
    this.#wanted = wanted
    this.#send({
      type: 'part',
      name: this.#name,
      server: this.#server,
      capacity: this.#capacity,
      held,
      busy,
      wanted,
      received: this.#received,
      isAnswer,
    })
    // The parent must know when nothing is wanted any more.
    if (wanted > 0) this.#again ??= setTimeout(() => this.#lookAgain(), WANT_EVERY_MS).unref()
  }

  #lookAgain(): void {
    this.#again = undefined
    if (this.#need().wanted !== this.#wanted) this.#report(false)
    else this.#again = setTimeout(() => this.#lookAgain(), WANT_EVERY_MS).unref()
  }
}
