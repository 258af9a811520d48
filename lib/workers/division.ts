import type { GiveUp, PartReport } from './messages.ts'

/** A worker's part of the connections, as the parent knows it. */
interface Part {
  capacity: number
  held: number
  busy: number
  wanted: number
  /** Connections that were given to it, and of these that it has told to have received. */
  sent: number
  received: number
  /** Whether it was asked to give up connections and has not answered. */
  isAsked: boolean
  /** PostgreSQL's processes for its sessions. */
  sessions: Set<number>
}

/** What a worker that has ended may have left open. */
interface Left {
  most: number
  sessions: Set<number>
}

interface DivisionOptions {
  /** Number of workers that divide the share when all run. */
  workers: number
  add(worker: number, connections: number): void
  ask(worker: number, question: Omit<GiveUp, 'type' | 'name'>): void
  /** Called when the upper limit of open connections has come down to the share. */
  onSettled(): void
}

/** Connections that a worker keeps: a deploy takes two beside the listening one and that of a call. */
const LEAST = 4

/** Pause before workers that had nothing to give up are asked again, while others want more. */
const ASK_AGAIN_MS = 10

/**
 * Divides the share of a service among its workers: the connections to one server. Each has an equal
 * part, and one that wants more gets what is free, then what others do not use, and, below its equal
 * part, what others have beyond theirs. A connection is given only when it is certain that nobody holds
 * it any more, so that the sum never exceeds the share.
 */
export class Division {
  readonly #options: DivisionOptions
  readonly #parts = new Map<number, Part>()
  readonly #left = new Map<number, Left>()
  #share = 0
  #again: NodeJS.Timeout | undefined
  #wasOver = false

  constructor(options: DivisionOptions) {
    this.#options = options
  }

  /** Upper limit of the connections that all workers have open together. */
  get held(): number {
    let sum = 0
    for (const part of this.#parts.values()) sum += limitOf(part)
    return sum + this.#heldByEnded
  }

  /** Changes the connections that all workers may have open together. */
  setShare(connections: number): void {
    this.#share = connections
    this.#settle()
  }

  /** Adds a worker that is about to start, without connections. It wants its least until it reports. */
  join(worker: number): void {
    const none = { capacity: 0, held: 0, busy: 0, sent: 0, received: 0, isAsked: false }
    this.#parts.set(worker, { ...none, wanted: LEAST, sessions: new Set() })
    this.#settle()
  }

  /**
   * Takes back the part of a worker that has ended, or keeps it until `noteLeft`: PostgreSQL goes on with the
   * statement of a client that has gone.
   * @param isClean whether the worker has closed its sessions and told so
   * @returns whether sessions may be left
   */
  leave(worker: number, isClean: boolean): boolean {
    const part = this.#parts.get(worker)
    if (!part) return false
    this.#parts.delete(worker)
    const { sessions } = part
    const most = limitOf(part)
    const isLeft = most > 0 && !(isClean && sessions.size === 0)
    if (isLeft) this.#left.set(worker, { most, sessions })
    this.#settle()
    return isLeft
  }

  /** PostgreSQL's processes for the sessions that a worker had when it ended. */
  leftOf(worker: number): number[] {
    return [...(this.#left.get(worker)?.sessions ?? [])]
  }

  /**
   * Takes back what a worker that has ended does not hold any more.
   * @param gone of its sessions, those that have ended
   * @returns whether sessions are left
   */
  noteGone(worker: number, gone: number[]): boolean {
    const left = this.#left.get(worker)
    if (!left) return false
    for (const pid of gone) left.sessions.delete(pid)
    const { size } = left.sessions
    // One more is for who looks again.
    left.most = size + 1
    if (size === 0) this.#left.delete(worker)
    this.#settle()
    return size > 0
  }

  /** Notes that a worker's session has begun or ended. What it has sent may arrive when it has ended. */
  noteSession(worker: number, pid: number, isOpen: boolean): void {
    const { sessions } = this.#parts.get(worker) ?? this.#left.get(worker) ?? {}
    if (isOpen) sessions?.add(pid)
    else sessions?.delete(pid)
  }

  /** Takes a report of a worker. */
  report(worker: number, report: PartReport): void {
    const part = this.#parts.get(worker)
    if (!part) return
    const { capacity, held, busy, wanted, received, isAnswer } = report
    Object.assign(part, { capacity, held, busy, wanted, received })
    if (isAnswer) part.isAsked = false
    this.#settle()
  }

  end(): void {
    clearTimeout(this.#again)
    this.#parts.clear()
    this.#left.clear()
  }

  get #heldByEnded(): number {
    let sum = 0
    for (const { most } of this.#left.values()) sum += most
    return sum
  }

  get #fair(): number {
    // One that drains has its part beside the one that replaces it.
    const workers = Math.max(this.#options.workers, this.#parts.size)
    return Math.max(1, Math.floor((this.#share - this.#heldByEnded) / workers))
  }

  get #least(): number {
    return Math.min(LEAST, this.#fair)
  }

  #settle(): void {
    this.#giveFree()
    const over = this.held - this.#share
    if (over > 0) this.#takeBack(over)
    else if (this.#wasOver) this.#options.onSettled()
    this.#wasOver = over > 0
    let isWanted = over > 0
    for (const [worker, part] of this.#parts) {
      if (missing(part) > 0 && over <= 0) isWanted = this.#borrow(worker, part) || isWanted
    }
    if (isWanted) this.#askAgain()
  }

  /** Gives free connections to those that want more, the one with the fewest first; the rest evenly. */
  #giveFree(): void {
    let free = this.#share - this.held
    const given = new Map<number, number>()
    const give = (worker: number) => {
      given.set(worker, (given.get(worker) ?? 0) + 1)
      this.#parts.get(worker)!.sent++
      free--
    }
    while (free > 0) {
      const poorest = this.#poorest((part) => missing(part) > 0)
      // Nothing of an equal part is kept back: it is taken again when somebody wants it.
      const next = poorest ?? this.#poorest((part) => limitOf(part) < this.#fair)
      if (next === undefined) break
      give(next)
    }
    for (const [worker, connections] of given) this.#options.add(worker, connections)
  }

  #poorest(isMeant: (part: Part) => boolean): number | undefined {
    let found: number | undefined
    let fewest = Number.POSITIVE_INFINITY
    for (const [worker, part] of this.#parts) {
      if (limitOf(part) >= fewest || !isMeant(part)) continue
      found = worker
      fewest = limitOf(part)
    }
    return found
  }

  /** Has the workers above their equal part of a smaller share give up connections. */
  #takeBack(over: number): void {
    for (const [worker, part] of this.#parts) {
      if (part.isAsked) continue
      const most = Math.min(over, limitOf(part) - this.#fair)
      if (most > 0 && part.capacity > this.#fair) this.#ask(worker, part, most, this.#fair)
    }
  }

  /** Asks others for what a worker misses. Returns whether to try again. */
  #borrow(worker: number, part: Part): boolean {
    const isPoor = limitOf(part) < this.#fair
    let lacking = missing(part)
    let isWorthwhile = false
    for (const [other, rich] of this.#parts) {
      if (other === worker || lacking <= 0) continue
      const surplus = limitOf(rich) - this.#fair
      const isForced = isPoor && surplus > 0
      // Whoever wants more itself has nothing idle.
      if (!isForced && (rich.wanted > 0 || rich.capacity <= this.#least)) continue
      isWorthwhile = true
      if (rich.isAsked) continue
      const most = isForced ? Math.min(lacking, surplus) : lacking
      this.#ask(other, rich, most, isForced ? this.#fair : null)
      lacking -= Math.max(0, Math.min(most, rich.capacity - rich.busy))
    }
    return isWorthwhile
  }

  #ask(worker: number, part: Part, most: number, fair: number | null): void {
    part.isAsked = true
    this.#options.ask(worker, { most, least: this.#least, fair })
  }

  #askAgain(): void {
    this.#again ??= setTimeout(() => {
      this.#again = undefined
      this.#settle()
    }, ASK_AGAIN_MS).unref()
  }
}

/** Connections that a worker may have open by now, by what it has told and was given since. */
function limitOf({ capacity, held, sent, received }: Part): number {
  return Math.max(capacity, held) + sent - received
}

/** Connections that a worker wants beside those on their way to it. */
function missing({ wanted, sent, received }: Part): number {
  return wanted - (sent - received)
}
