import { digits, table } from '../lib/table.ts'

/** An answer, as far as it came. */
export interface Answer {
  status: number
  text: string
  retryAfter: string | null
}

/** What became of the requests of one kind. */
interface Count {
  sent: number
  right: number
  /** A clear 503 while something was down. */
  unavailable: number
  wrong: number
  /** No answer. */
  lost: number
  longestMs: number
}

interface Disturbance {
  from: number
  to: number
}

/** After a fault is over, calls may still find what it left for so long. */
const AFTERMATH_MS = 5000

const MAX_COMPLAINTS = 20

/** Counts every request and remembers what was not as it has to be. */
export class Tally {
  readonly complaints: string[] = []
  readonly #counts = new Map<string, Count>()
  readonly #errors = new Map<string, number>()
  readonly #disturbances: Disturbance[] = []

  /** Something is broken from now until the returned function is called, and a little longer. */
  disturb(): () => void {
    const disturbance = { from: performance.now(), to: Number.POSITIVE_INFINITY }
    this.#disturbances.push(disturbance)
    return () => {
      disturbance.to = performance.now() + AFTERMATH_MS
    }
  }

  complain(text: string): void {
    if (this.complaints.length < MAX_COMPLAINTS) this.complaints.push(text)
  }

  get sent(): number {
    return [...this.#counts.values()].reduce((sum, { sent }) => sum + sent, 0)
  }

  /**
   * Sends a request and counts it. `check` says what is wrong with the answer, if anything is.
   * @returns the answer where it was right
   */
  async request(
    kind: string,
    send: () => Promise<Answer>,
    check: (answer: Answer) => string | undefined,
  ): Promise<Answer | undefined> {
    const count = this.#count(kind)
    const sentAt = performance.now()
    count.sent++
    let answer: Answer
    try {
      answer = await send()
    } catch (error) {
      count.lost++
      const { message, cause } = error as Error
      this.complain(`${kind}: no answer: ${message} ${cause ?? ''}`)
      return undefined
    }
    count.longestMs = Math.max(count.longestMs, performance.now() - sentAt)
    const wrong = check(answer)
    if (wrong === undefined) {
      count.right++
      return answer
    }
    this.#countError(answer)
    if (answer.status === 503 && answer.retryAfter !== null && this.#wasDisturbed(sentAt)) {
      count.unavailable++
    } else {
      count.wrong++
      this.complain(`${kind}: ${wrong}: ${answer.status} ${answer.text.slice(0, 400)}`)
    }
    return undefined
  }

  /** For people. */
  toString(): string {
    const rows = [['', 'sent', 'right', '503 in a fault', 'wrong', 'lost', 'longest ms']]
    for (const [kind, count] of [...this.#counts].sort()) {
      const { sent, right, unavailable, wrong, lost, longestMs } = count
      rows.push([kind, ...[sent, right, unavailable, wrong, lost].map(String), digits(longestMs)])
    }
    const errors = [...this.#errors].map(([error, times]) => `${error} ${times}`)
    return `${table(rows)}\n\nErrors: ${errors.join(', ') || 'none'}`
  }

  /** Whether a request that was sent then, and has just been answered, met a fault. */
  #wasDisturbed(sentAt: number): boolean {
    return this.#disturbances.some(({ to }) => to > sentAt)
  }

  #count(kind: string): Count {
    let count = this.#counts.get(kind)
    if (!count) {
      count = { sent: 0, right: 0, unavailable: 0, wrong: 0, lost: 0, longestMs: 0 }
      this.#counts.set(kind, count)
    }
    return count
  }

  #countError({ status, text }: Answer): void {
    const code = /"error":"(\w+)"/.exec(text)?.[1] ?? ''
    const key = `${status} ${code}`.trim()
    this.#errors.set(key, (this.#errors.get(key) ?? 0) + 1)
  }
}
