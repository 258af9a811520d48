import type { Socket } from 'node:net'
import { type KnownKeys, Scram } from './scram.ts'
import type { Credentials } from './server.ts'

/** Types of messages and of requests for authentication (PostgreSQL manual, "Message Formats"). */
const AUTHENTICATION = 'R'.charCodeAt(0)
const ERROR = 'E'.charCodeAt(0)
const READY = 'Z'.charCodeAt(0)
const SASL = 10
const SASL_CONTINUE = 11
const SASL_FINAL = 12

const PROTOCOL_3_0 = 196_608
const MECHANISM = 'SCRAM-SHA-256'

/** Of each role. */
const knownKeys = new WeakMap<Credentials, KnownKeys>()

/**
 * Sends the start-up message on a new socket and logs in by SCRAM, with the keys of the last time:
 * to derive them takes a millisecond, half of what opening a connection costs the gateway. Then the
 * socket is as the driver expects a new one: what it sends first, its own start-up message, goes
 * nowhere, and what it reads first is the rest of what the server said, an error too. So it does
 * any other kind of authentication itself.
 * @returns whether the server is ready for queries
 * @throws {Error} with a code: the socket failed or was closed; the server does not know the password
 */
export async function logIn(
  socket: Socket,
  credentials: Credentials,
  parameters: Record<string, string | number>,
): Promise<boolean> {
  const scram = new Scram(credentials.password, knownKeys.get(credentials))
  const input = new Input(socket)
  socket.write(startupMessage(parameters))
  for (;;) {
    const message = await input.next()
    const step = message[0] === AUTHENTICATION ? message.readInt32BE(5) : undefined
    if (step === SASL) {
      socket.write(saslInitial(scram.first()))
    } else if (step === SASL_CONTINUE) {
      socket.write(passwordMessage(Buffer.from(await scram.final(textOf(message)))))
      if (scram.known) knownKeys.set(credentials, scram.known)
    } else if (step === SASL_FINAL) {
      scram.verify(textOf(message))
    } else {
      // Of what comes now, only that it comes: once the server is ready, it waits.
      input.unread(message)
      const last = step === 0 ? await input.find([READY, ERROR]) : undefined
      input.giveBack()
      skipStartupMessage(socket)
      return last === READY
    }
  }
}

/** The messages that a server sends, before anybody else reads them. */
class Input {
  readonly #socket: Socket
  #bytes: Buffer = Buffer.alloc(0)

  constructor(socket: Socket) {
    this.#socket = socket
  }

  async next(): Promise<Buffer> {
    await this.#atLeast(5)
    const length = 1 + this.#bytes.readUInt32BE(1)
    await this.#atLeast(length)
    const message = this.#bytes.subarray(0, length)
    this.#bytes = this.#bytes.subarray(length)
    return message
  }

  unread(message: Buffer): void {
    this.#bytes = Buffer.concat([message, this.#bytes])
  }

  /** Waits for a message of one of these types, and takes none. */
  async find(types: number[]): Promise<number> {
    let at = 0
    for (;;) {
      await this.#atLeast(at + 5)
      const type = this.#bytes[at]!
      at += 1 + this.#bytes.readUInt32BE(at + 1)
      await this.#atLeast(at)
      if (types.includes(type)) return type
    }
  }

  /** What was read and not taken is there for the next who reads. */
  giveBack(): void {
    this.#socket.unshift(this.#bytes)
  }

  async #atLeast(length: number): Promise<void> {
    while (this.#bytes.length < length) {
      const chunk: Buffer | null = this.#socket.read()
      if (chunk) this.#bytes = Buffer.concat([this.#bytes, chunk])
      else await readable(this.#socket)
    }
  }
}

function readable(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (action: () => void) => {
      socket.off('readable', onReadable).off('end', onEnd).off('error', onError).off('close', onEnd)
      action()
    }
    const onReadable = () => settle(resolve)
    const onError = (error: Error) => settle(() => reject(error))
    const onEnd = () => settle(() => reject(closedError()))
    if (socket.destroyed) reject(socket.errored ?? closedError())
    else {
      socket.on('readable', onReadable).on('end', onEnd).on('error', onError).on('close', onEnd)
    }
  })
}

/** The start-up message has no type; its length comes first, and maybe a query behind it. */
function skipStartupMessage(socket: Socket): void {
  const { write } = socket
  socket.write = (chunk: Uint8Array | string, ...more: unknown[]): boolean => {
    socket.write = write
    const bytes = chunk as Buffer
    const behind = bytes.subarray(bytes.readInt32BE(0))
    if (behind.length === 0) return true
    return socket.write(behind, ...(more as []))
  }
}

function startupMessage(parameters: Record<string, string | number>): Buffer {
  const text = Object.entries(parameters)
    .map(([name, value]) => `${name}\0${value}\0`)
    .join('')
  const head = Buffer.alloc(8)
  const body = Buffer.from(`${text}\0`)
  head.writeInt32BE(8 + body.length, 0)
  head.writeInt32BE(PROTOCOL_3_0, 4)
  return Buffer.concat([head, body])
}

function saslInitial(text: string): Buffer {
  const response = Buffer.from(text)
  const length = Buffer.alloc(4)
  length.writeInt32BE(response.length)
  return passwordMessage(Buffer.concat([Buffer.from(`${MECHANISM}\0`), length, response]))
}

function passwordMessage(body: Buffer): Buffer {
  const head = Buffer.from([112, 0, 0, 0, 0])
  head.writeInt32BE(4 + body.length, 1)
  return Buffer.concat([head, body])
}

function textOf(message: Buffer): string {
  return message.toString('utf8', 9)
}

function closedError(): Error {
  const message = 'The server closed the connection while it was being opened'
  return Object.assign(new Error(message), { code: 'ECONNRESET' })
}
