import { readInt32 } from './fields.ts'
import { MAX_MESSAGE_BYTES, protocolViolation } from './protocol.ts'

/** Bytes of a message's type and length. */
const HEAD_BYTES = 5

const NOTHING = Buffer.alloc(0)

/** Receiver of the messages. */
export interface MessageHandler {
  /**
   * Called when the header of a message has come. A promise pauses the input until it resolves;
   * `drop` discards the body as it comes.
   */
  announce(type: number, length: number): 'take' | 'drop' | Promise<void>
  /** Called with a whole message; its body is `bytes` from `start` to `end`. */
  take(type: number, bytes: Buffer, start: number, end: number): void
}

/**
 * Splits the server's byte stream into messages. A message within one chunk is passed on without
 * copying; one that spans several chunks is concatenated once, when its end has come.
 */
export class Input {
  readonly #handler: MessageHandler
  #chunk: Buffer = NOTHING
  #at = 0
  /** Beginning of a header that is incomplete at the end of the chunk. */
  #head: Buffer | undefined
  /** Type of the message whose body is being read; -1 between messages. */
  #type = -1
  #length = 0
  #isDropped = false
  #pieces: Buffer[] = []
  /** Bytes of the body that have not come yet. */
  #missing = 0
  #isWaiting = false
  #isStopped = false

  constructor(handler: MessageHandler) {
    this.#handler = handler
  }

  /** Whether it waits for permission to read a message: the socket should be paused. */
  get isWaiting(): boolean {
    return this.#isWaiting
  }

  /**
   * Reads a chunk.
   * @returns a promise if a message has to wait; it resolves when everything pushed so far is read
   * @throws {Error} PROTOCOL_VIOLATION
   */
  push(chunk: Buffer): Promise<void> | undefined {
    if (this.#isStopped) return undefined
    const isTaken = this.#at === this.#chunk.length
    this.#chunk = isTaken ? chunk : Buffer.concat([this.#chunk.subarray(this.#at), chunk])
    this.#at = 0
    return this.#isWaiting ? undefined : this.#read()
  }

  /** Ignores all further input. */
  stop(): void {
    this.#isStopped = true
    this.#chunk = NOTHING
    this.#at = 0
    this.#pieces = []
  }

  #read(): Promise<void> | undefined {
    while (!this.#isStopped) {
      if (this.#type === -1) {
        if (!this.#readHead()) return undefined
        const leave = this.#handler.announce(this.#type, this.#length)
        if (typeof leave !== 'string') return this.#wait(leave)
        this.#isDropped = leave === 'drop'
      }
      if (!this.#readBody()) return undefined
    }
    return undefined
  }

  async #wait(leave: Promise<void>): Promise<void> {
    this.#isWaiting = true
    this.#isDropped = false
    await leave
    this.#isWaiting = false
    await this.#read()
  }

  /** Returns false if the chunk ends within the header. */
  #readHead(): boolean {
    let head = this.#chunk
    let at = this.#at
    if (this.#head || head.length - at < HEAD_BYTES) {
      const known = this.#head ?? NOTHING
      const more = head.subarray(at, at + HEAD_BYTES - known.length)
      this.#at += more.length
      head = Buffer.concat([known, more])
      this.#head = head.length < HEAD_BYTES ? head : undefined
      if (this.#head) return false
      at = 0
    } else {
      this.#at += HEAD_BYTES
    }
    const length = readInt32(head, at + 1)
    if (length < 4 || length > MAX_MESSAGE_BYTES) {
      throw protocolViolation(`a message of ${length >>> 0} bytes`)
    }
    this.#type = head[at]!
    this.#length = length - 4
    this.#missing = this.#length
    return true
  }

  /** Returns false if the chunk ends within the body. */
  #readBody(): boolean {
    const chunk = this.#chunk
    const start = this.#at
    const end = start + this.#missing
    if (end > chunk.length) {
      const piece = chunk.subarray(start)
      if (piece.length > 0 && !this.#isDropped) this.#pieces.push(piece)
      this.#missing -= piece.length
      this.#at = chunk.length
      return false
    }
    const type = this.#type
    this.#type = -1
    this.#at = end
    if (this.#isDropped) return true
    if (this.#pieces.length === 0) {
      this.#handler.take(type, chunk, start, end)
      return true
    }
    const whole = Buffer.concat([...this.#pieces, chunk.subarray(start, end)])
    this.#pieces = []
    this.#handler.take(type, whole, 0, whole.length)
    return true
  }
}
