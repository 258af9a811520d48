import { createHash } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { Credentials } from '../hosts/server.ts'
import { readParameter } from './fields.ts'
import * as protocol from './protocol.ts'
import { type KnownKeys, notScram, Scram } from './scram.ts'
import { readServerError } from './server-error.ts'
import { StartupInput } from './startup-input.ts'

/** Authentication requests by number (PostgreSQL manual, "Message Formats"). */
const AUTHENTICATION = { ok: 0, cleartext: 3, md5: 5, sasl: 10, saslContinue: 11, saslFinal: 12 }

/** Methods that need more than a password. */
const UNSUPPORTED: Record<number, string> = { 2: 'Kerberos V5', 7: 'GSSAPI', 9: 'SSPI' }

const PROTOCOL_3_0 = 196_608
const MECHANISM = 'SCRAM-SHA-256'

/** Cached SCRAM keys by role. */
const knownKeys = new WeakMap<Credentials, KnownKeys>()

/** Messages of the server between the log-in and the first query. */
export interface Greeting {
  /** Raw bytes from AuthenticationOk to ReadyForQuery. */
  bytes: Buffer
  /** BackendKeyData: server process, and the secret for cancel requests; 0 and empty if missing. */
  pid: number
  secret: Buffer
  /** Reported parameters (ParameterStatus). */
  parameters: Map<string, string>
}

/**
 * Sends the startup packet on a new socket and logs in as the server requests: without a password,
 * with the password in clear text, with MD5 or with SCRAM-SHA-256. SCRAM keys are cached by role:
 * deriving them takes a millisecond, half of the gateway's cost of a new connection. Afterwards the
 * session is ready for a query and the greeting has been read from the socket.
 * @param behind SQL that goes out with the client's last message, and whose answer follows the
 *   greeting. The server has not proved by then that it knows the password: no secret may be in it.
 * @throws {ServerError} if the server refuses the log-in
 * @throws {Error} with a code: of the socket; SCRAM_FAILED if the server does not prove that it
 *   knows the password; AUTHENTICATION_UNSUPPORTED if it asks for another method
 */
export async function logIn(
  socket: Duplex,
  credentials: Credentials,
  parameters: Record<string, string | number>,
  behind?: string,
): Promise<Greeting> {
  const input = new StartupInput(socket)
  socket.write(startupMessage(parameters))
  await authenticate(socket, input, credentials, behind)
  const greeting = await readGreeting(input)
  input.giveBack()
  return greeting
}

/** Reads up to AuthenticationOk. */
async function authenticate(
  socket: Duplex,
  input: StartupInput,
  credentials: Credentials,
  behind: string | undefined,
): Promise<void> {
  const { user, password } = credentials
  let scram: Scram | undefined
  let following = behind === undefined ? [] : [queryMessage(behind)]
  // One write: a server that refuses the log-in closes a socket from which it has read everything.
  const writeLast = (...messages: Buffer[]) => {
    const bytes = Buffer.concat([...messages, ...following])
    following = []
    if (bytes.length > 0) socket.write(bytes)
  }
  for (;;) {
    const next = input.next()
    const { type, body } = next instanceof Promise ? await next : next
    if (type === protocol.ERROR_RESPONSE) throw readServerError(body, 0, body.length)
    if (type === protocol.NOTICE_RESPONSE || type === protocol.NEGOTIATE_PROTOCOL_VERSION) continue
    if (type !== protocol.AUTHENTICATION || body.length < 4) {
      throw protocol.protocolViolation(`a message of type ${type} instead of authentication`)
    }
    const method = body.readInt32BE(0)
    if (method === AUTHENTICATION.ok) {
      // A server that does not know the password must not succeed by omitting its SCRAM proof.
      if (scram && !scram.isVerified) throw notScram()
      writeLast()
      return
    }
    if (method === AUTHENTICATION.cleartext) {
      writeLast(passwordMessage(Buffer.from(`${password}\0`)))
    } else if (method === AUTHENTICATION.md5) {
      writeLast(passwordMessage(Buffer.from(`${md5Of(user, password, body.subarray(4))}\0`)))
    } else if (method === AUTHENTICATION.sasl && offersScram(body)) {
      scram = new Scram(password, knownKeys.get(credentials))
      socket.write(saslInitial(scram.first()))
    } else if (method === AUTHENTICATION.saslContinue && scram) {
      writeLast(passwordMessage(Buffer.from(await scram.final(body.toString('utf8', 4)))))
      if (scram.known) knownKeys.set(credentials, scram.known)
    } else if (method === AUTHENTICATION.saslFinal && scram) {
      scram.verify(body.toString('utf8', 4))
    } else {
      throw unsupported(method, body)
    }
  }
}

/** Reads from AuthenticationOk up to ReadyForQuery. */
async function readGreeting(input: StartupInput): Promise<Greeting> {
  const greeting = { pid: 0, secret: Buffer.alloc(0), parameters: new Map<string, string>() }
  const pieces = [input.latest]
  for (;;) {
    const next = input.next()
    const { type, body } = next instanceof Promise ? await next : next
    pieces.push(input.latest)
    if (type === protocol.READY_FOR_QUERY) return { ...greeting, bytes: Buffer.concat(pieces) }
    if (type === protocol.ERROR_RESPONSE) throw readServerError(body, 0, body.length)
    if (type === protocol.PARAMETER_STATUS) {
      const [name, value] = readParameter(body, 0, body.length)
      greeting.parameters.set(name, value)
    } else if (type === protocol.BACKEND_KEY_DATA && body.length >= 4) {
      greeting.pid = body.readUInt32BE(0)
      greeting.secret = Buffer.from(body.subarray(4))
    }
  }
}

function offersScram(body: Buffer): boolean {
  return body.toString('latin1', 4).split('\0').includes(MECHANISM)
}

function md5Of(user: string, password: string, salt: Buffer): string {
  const md5 = (...parts: (string | Buffer)[]) => {
    const hash = createHash('md5')
    for (const part of parts) hash.update(part)
    return hash.digest('hex')
  }
  return `md5${md5(md5(password, user), salt)}`
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
  return message('p', body)
}

function queryMessage(sql: string): Buffer {
  return message('Q', Buffer.from(`${sql}\0`))
}

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.from(`${type}\0\0\0\0`, 'latin1')
  head.writeInt32BE(4 + body.length, 1)
  return Buffer.concat([head, body])
}

function unsupported(method: number, body: Buffer): Error {
  const name =
    method === AUTHENTICATION.sasl
      ? `SASL by ${body.toString('latin1', 4).split('\0').filter(Boolean).join(', ')}`
      : (UNSUPPORTED[method] ?? `method ${method}`)
  const message = `The server asks for authentication by ${name}, which the gateway does not support`
  return Object.assign(new Error(message), { code: 'AUTHENTICATION_UNSUPPORTED' })
}
