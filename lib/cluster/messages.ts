import { randomUUID } from 'node:crypto'
import type { Log } from '../log.ts'
import type { Sql } from '../postgres/pools/connection.ts'

interface MessagesOptions {
  /** Id of this gateway. */
  self: string
  channel: string
  /** Runs `work` in the administrative database; may run it twice. */
  use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>
  /** Returns the ids of the gateways that are alive, this one included. */
  alive: () => string[]
  log: Log
}

/** Payload of a notification: a question to other gateways. */
interface Question {
  change: 'ASK'
  id: string
  from: string
  /** Gateway that is asked; undefined: all. */
  to?: string
  kind: string
  body: unknown
}

/** Payload of a notification: something that all other gateways are told, and do not answer. */
interface News {
  change: 'TELL'
  from: string
  kind: string
  body: unknown
}

/** Payload of a notification: a piece of an answer. The pieces together are JSON. */
interface Piece {
  change: 'ANSWER'
  id: string
  from: string
  to: string
  part: number
  parts: number
  text: string
}

export type Message = Question | News | Piece

/** Takes what another gateway asks or tells; returns the answer to a question. */
type Handler = (body: unknown, from: string) => unknown

/** An answer of another gateway. */
export interface Answered {
  gateway: string
  body: unknown
}

interface Waiting {
  missing: Set<string>
  pieces: Map<string, string[]>
  answers: Answered[]
  resolve: () => void
}

/**
 * UTF-16 code units of an answer in one notification. PostgreSQL limits its payload to 8,000 bytes;
 * a unit takes three at most.
 */
const PIECE_LENGTH = 2400

/** Pieces of the longest answer; a longer one is not sent. */
const MAX_PIECES = 200

/** Questions and answers among the gateways, by notifications of PostgreSQL. */
export class Messages {
  readonly #options: MessagesOptions
  readonly #handlers = new Map<string, Handler>()
  readonly #waiting = new Map<string, Waiting>()

  constructor(options: MessagesOptions) {
    this.#options = options
  }

  /** Returns whether a gateway is alive, as of its last heartbeat. */
  isAlive(gateway: string): boolean {
    return this.#options.alive().includes(gateway)
  }

  /** Returns the ids of the other gateways that are alive. */
  others(): string[] {
    return this.#options.alive().filter((id) => id !== this.#options.self)
  }

  /** Takes messages of a kind from now on, and answers questions with what `handler` returns. */
  answer(kind: string, handler: Handler): void {
    this.#handlers.set(kind, handler)
  }

  /**
   * Asks one other gateway, or all others. Resolves with their answers when all have answered, or
   * with those that there are after `limitMs`.
   */
  async ask(
    kind: string,
    body: unknown,
    { to, limitMs }: { to?: string; limitMs: number },
  ): Promise<Answered[]> {
    const { self } = this.#options
    const asked = this.others().filter((id) => to === undefined || id === to)
    if (asked.length === 0) return []
    const id = randomUUID()
    const answers: Answered[] = []
    let timer: NodeJS.Timeout | undefined
    const done = new Promise<void>((resolve) => {
      const missing = new Set(asked)
      this.#waiting.set(id, { missing, pieces: new Map(), answers, resolve })
      timer = setTimeout(resolve, limitMs)
    })
    try {
      const question: Question = { change: 'ASK', id, from: self, kind, body, ...(to && { to }) }
      // A PostgreSQL that hangs does not hold the answer up.
      await Promise.race([this.#send([question]).then(() => done), done])
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(id)
    }
    return answers
  }

  /** Tells all other gateways something of less than 7,000 bytes. Never rejects. */
  async tell(kind: string, body: unknown): Promise<void> {
    const { self, log } = this.#options
    if (this.others().length === 0) return
    const news: News = { change: 'TELL', from: self, kind, body }
    await this.#send([news]).catch((error) =>
      log.debug(`The other gateways were not told: ${error.message}`),
    )
  }

  /** Takes a message from the channel. Any role may send on it, so nothing in it is trusted. */
  onMessage(message: Message): void {
    const { self } = this.#options
    if (message.from === self) return
    if (message.change === 'TELL') this.#onNews(message)
    else if (message.to !== undefined && message.to !== self) return
    else if (message.change === 'ASK') this.#onQuestion(message)
    else if (isPiece(message)) this.#onPiece(message)
  }

  #onNews({ from, kind, body }: News): void {
    try {
      this.#handlers.get(kind)?.(body, from)
    } catch (error) {
      this.#options.log.debug(`News of another gateway are not valid: ${(error as Error).message}`)
    }
  }

  async #onQuestion({ id, from, kind, body }: Question): Promise<void> {
    const { self, log } = this.#options
    try {
      const handler = this.#handlers.get(kind)
      if (!handler) return
      const text = JSON.stringify((await handler(body, from)) ?? null)
      const parts = Math.ceil(text.length / PIECE_LENGTH)
      if (parts > MAX_PIECES) throw new Error(`The answer has ${text.length} characters`)
      const pieces = Array.from({ length: parts }, (_, part): Piece => {
        const piece = text.slice(part * PIECE_LENGTH, (part + 1) * PIECE_LENGTH)
        return { change: 'ANSWER', id, from: self, to: from, part, parts, text: piece }
      })
      await this.#send(pieces)
    } catch (error) {
      log.debug(`A question of another gateway was not answered: ${(error as Error).message}`)
    }
  }

  /** The pieces of one sender arrive in their order. */
  #onPiece({ id, from, part, parts, text }: Piece): void {
    const waiting = this.#waiting.get(id)
    if (!waiting?.missing.has(from)) return
    const pieces = waiting.pieces.get(from) ?? []
    waiting.pieces.set(from, pieces)
    if (part !== pieces.length) return
    pieces.push(text)
    if (pieces.length < parts) return
    waiting.missing.delete(from)
    const body = parse(pieces.join(''))
    if (body !== undefined) waiting.answers.push({ gateway: from, body })
    if (waiting.missing.size === 0) waiting.resolve()
  }

  async #send(messages: Message[]): Promise<void> {
    const { use, channel } = this.#options
    const payloads = JSON.stringify(messages.map((message) => JSON.stringify(message)))
    await use(
      (sql) => sql`
        select pg_notify(${channel}, m) from json_array_elements_text(${payloads}::text::json) as m
      `,
    )
  }
}

function isPiece({ part, parts, text }: Piece): boolean {
  return Number.isInteger(part) && parts <= MAX_PIECES && typeof text === 'string'
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
