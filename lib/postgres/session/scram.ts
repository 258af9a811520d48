import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

/** PostgreSQL's largest `scram_iterations`. */
const MAX_ITERATIONS = 2 ** 31 - 1

/** What a password comes to with one salt: all that SCRAM needs of it (RFC 5802, section 3). */
interface Keys {
  client: Buffer
  stored: Buffer
  server: Buffer
}

/** Of a role: its keys, which stay the same until its password is changed. */
export interface KnownKeys {
  salt: string
  iterations: number
  keys: Promise<Keys>
}

/** A log-in by SCRAM-SHA-256 without channel binding, as the client (RFC 5802, RFC 7677). */
export class Scram {
  readonly #password: string
  readonly #nonce = randomBytes(18).toString('base64')
  #serverSignature: Buffer | undefined
  #isVerified = false
  /** May be handed to the next log-in with this password: it then costs no key derivation. */
  known: KnownKeys | undefined

  constructor(password: string, known: KnownKeys | undefined) {
    this.#password = password
    this.known = known
  }

  /** Whether the server has proved that it knows the password. */
  get isVerified(): boolean {
    return this.#isVerified
  }

  /** PostgreSQL goes by the user of the start-up message. */
  first(): string {
    return `n,,${this.#firstBare}`
  }

  /** @throws {Error} where the server's message is not an answer to `first()` */
  async final(serverFirst: string): Promise<string> {
    const { r: nonce = '', s: salt = '', i = '' } = attributesOf(serverFirst)
    const iterations = /^\d+$/.test(i) ? Number(i) : 0
    const isInRange = iterations >= 1 && iterations <= MAX_ITERATIONS
    if (!nonce.startsWith(this.#nonce) || salt === '' || !isInRange) throw notScram()
    if (this.known?.salt !== salt || this.known.iterations !== iterations) {
      this.known = { salt, iterations, keys: deriveKeys(this.#password, salt, iterations) }
    }
    const keys = await this.known.keys
    const withoutProof = `c=biws,r=${nonce}`
    const message = `${this.#firstBare},${serverFirst},${withoutProof}`
    this.#serverSignature = hmac(keys.server, message)
    const proof = xor(keys.client, hmac(keys.stored, message))
    return `${withoutProof},p=${proof.toString('base64')}`
  }

  /** @throws {Error} where the server does not know the password either */
  verify(serverFinal: string): void {
    const signature = Buffer.from(attributesOf(serverFinal).v ?? '', 'base64')
    const expected = this.#serverSignature
    if (signature.length !== expected?.length || !timingSafeEqual(signature, expected)) {
      throw notScram()
    }
    this.#isVerified = true
  }

  get #firstBare(): string {
    return `n=*,r=${this.#nonce}`
  }
}

/**
 * A password as PostgreSQL stores it, so that no statement and no log ever has the password itself
 * (PostgreSQL manual, "pg_authid"; RFC 5803). One round: more protect passwords that can be
 * guessed, this is for random keys.
 */
export async function scramVerifier(password: string): Promise<string> {
  const salt = randomBytes(16).toString('base64')
  const { stored, server } = await deriveKeys(password, salt, 1)
  return `SCRAM-SHA-256$1:${salt}$${stored.toString('base64')}:${server.toString('base64')}`
}

async function deriveKeys(password: string, salt: string, iterations: number): Promise<Keys> {
  // SASLprep (RFC 4013) of what people use in passwords.
  const text = password.normalize('NFKC')
  const salted = await promisify(pbkdf2)(
    text,
    Buffer.from(salt, 'base64'),
    iterations,
    32,
    'sha256',
  )
  const client = hmac(salted, 'Client Key')
  const stored = createHash('sha256').update(client).digest()
  return { client, stored, server: hmac(salted, 'Server Key') }
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function xor(a: Buffer, b: Buffer): Buffer {
  return Buffer.from(a.map((byte, i) => byte ^ b[i]!))
}

function attributesOf(message: string): Record<string, string> {
  return Object.fromEntries(message.split(',').map((part) => [part[0], part.slice(2)]))
}

/** The error for a server that does not prove that it knows the password. */
export function notScram(): Error {
  const message = 'The server does not prove by SCRAM that it knows the password'
  return Object.assign(new Error(message), { code: 'SCRAM_FAILED' })
}
