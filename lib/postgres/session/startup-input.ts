import type { Duplex } from 'node:stream'
import { protocolViolation } from './protocol.ts'

/** The longest message of a log-in: the server is not known yet. */
const MAX_STARTUP_MESSAGE_BYTES = 1024 * 1024

const HEAD_BYTES = 5

/** Reads the messages that a server sends before its session is ready, one at a time. */
export class StartupInput {
  /** The message that came last, with its type and length. */
  latest: Buffer = Buffer.alloc(0)
  readonly #socket: Duplex
  #bytes: Buffer = Buffer.alloc(0)

  constructor(socket: Duplex) {
    this.#socket = socket
  }

  /** @throws {Error} with a code: the socket failed or ended, or the message has a wrong length */
  async next(): Promise<{ type: number; body: Buffer }> {
    await this.#atLeast(HEAD_BYTES)
    const length = this.#bytes.readUInt32BE(1)
    if (length < 4 || length > MAX_STARTUP_MESSAGE_BYTES) {
      throw protocolViolation(`a message of ${length} bytes during the log-in`)
    }
    await this.#atLeast(1 + length)
    this.latest = this.#bytes.subarray(0, 1 + length)
    this.#bytes = this.#bytes.subarray(1 + length)
    return { type: this.latest[0]!, body: this.latest.subarray(HEAD_BYTES) }
  }

  /** What was read and not taken goes back: the next reader of the socket gets it. */
  giveBack(): void {
    if (this.#bytes.length > 0) this.#socket.unshift(this.#bytes)
  }

  async #atLeast(length: number): Promise<void> {
    while (this.#bytes.length < length) {
      const chunk: Buffer | null = this.#socket.read()
      if (!chunk) await readable(this.#socket)
      else this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    }
  }
}

function readable(socket: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (action: () => void) => {
      socket.off('readable', onReadable).off('end', onEnd).off('error', onError).off('close', onEnd)
      action()
    }
    const onReadable = () => settle(resolve)
    const onError = (error: Error) => settle(() => reject(error))
    const onEnd = () => settle(() => reject(closedError()))
    if (socket.destroyed || socket.readableEnded) reject(socket.errored ?? closedError())
    else {
      socket.on('readable', onReadable).on('end', onEnd).on('error', onError).on('close', onEnd)
    }
  })
}

function closedError(): Error {
  const message = 'The server closed the connection while it was being opened'
  return Object.assign(new Error(message), { code: 'ECONNRESET' })
}
