/** Milliseconds that workers have to answer each other. */
const ANSWER_LIMIT_MS = 800

interface Waiting {
  missing: Set<number>
  bodies: unknown[]
  onAnswer: (worker: number, body: unknown) => void
  end: () => void
}

/** Takes the questions of workers to all other workers, and collects the answers. */
export class Gather {
  readonly #waiting = new Map<number, Waiting>()
  readonly #send: (worker: number, question: { id: number; kind: string }) => void
  #lastId = 0

  /** @param send asks a worker */
  constructor(send: (worker: number, question: { id: number; kind: string }) => void) {
    this.#send = send
  }

  /**
   * Asks workers. Resolves with the answers of those that answer in time.
   * @param onAnswer called with each answer, and its worker
   */
  async ask(
    workers: number[],
    kind: string,
    onAnswer: (worker: number, body: unknown) => void,
  ): Promise<unknown[]> {
    if (workers.length === 0) return []
    const id = ++this.#lastId
    const bodies: unknown[] = []
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer)
        this.#waiting.delete(id)
        resolve()
      }
      const timer = setTimeout(end, ANSWER_LIMIT_MS)
      this.#waiting.set(id, { missing: new Set(workers), bodies, onAnswer, end })
      for (const worker of workers) this.#send(worker, { id, kind })
    })
    return bodies
  }

  /** Takes an answer of a worker. */
  note(worker: number, id: number, body: unknown): void {
    const waiting = this.#waiting.get(id)
    if (!waiting?.missing.delete(worker)) return
    waiting.onAnswer(worker, body)
    if (body !== undefined && body !== null) waiting.bodies.push(body)
    if (waiting.missing.size === 0) waiting.end()
  }

  /** Waits no longer for a worker that has ended. */
  leave(worker: number): void {
    for (const { missing, end } of this.#waiting.values()) {
      if (missing.delete(worker) && missing.size === 0) end()
    }
  }
}
