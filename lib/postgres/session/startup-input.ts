import type { Duplex } from 'node:stream'
import { protocolViolation } from './protocol.ts'

/** Maximum size of a message during the log-in, while the server is not trusted. */
const MAX_STARTUP_MESSAGE_BYTES = 1024 * 1024

const HEAD_BYTES = 5

/** Reads the server's messages of a log-in one at a time. */
export class StartupInput {
  /** The last message, with its type and length. */
  latest: Buffer = Buffer.alloc(0)
  readonly #socket: Duplex
  #bytes: Buffer = Buffer.alloc(0)

  constructor(socket: Duplex) {
    this.#socket = socket
  }

  /**
   * Reads the next message.
   * @throws {Error} with a code: of a socket that failed or ended; PROTOCOL_VIOLATION
   */
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

  /** Returns unread bytes to the socket, for its next reader. */
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
