import type { Duplex } from 'node:stream'
import { protocolViolation } from './protocol.ts'

/** Maximum size of a message during the log-in, while the server is not trusted. */
const MAX_STARTUP_MESSAGE_BYTES = 1024 * 1024

const HEAD_BYTES = 5

export interface StartupMessage {
  type: number
  body: Buffer
}

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
   * Returns the next message: at once where it has come, since a log-in has seventeen, most of them
   * in one chunk.
   * @throws {Error} with a code: of a socket that failed or ended; PROTOCOL_VIOLATION
   */
  next(): StartupMessage | Promise<StartupMessage> {
    return this.#take() ?? this.#wait()
  }

  /** Returns unread bytes to the socket, for its next reader. */
  giveBack(): void {
    if (this.#bytes.length > 0) this.#socket.unshift(this.#bytes)
  }

  /** Returns undefined while the message has not come as a whole. */
  #take(): StartupMessage | undefined {
    const bytes = this.#bytes
    if (bytes.length < HEAD_BYTES) return undefined
    const length = bytes.readUInt32BE(1)
    if (length < 4 || length > MAX_STARTUP_MESSAGE_BYTES) {
      throw protocolViolation(`a message of ${length} bytes during the log-in`)
    }
    if (bytes.length < 1 + length) return undefined
    this.latest = bytes.subarray(0, 1 + length)
    this.#bytes = bytes.subarray(1 + length)
    return { type: bytes[0]!, body: bytes.subarray(HEAD_BYTES, 1 + length) }
  }

  async #wait(): Promise<StartupMessage> {
    for (;;) {
      const chunk: Buffer | null = this.#socket.read()
      if (!chunk) await readable(this.#socket)
      else this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
      const message = this.#take()
      if (message) return message
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
