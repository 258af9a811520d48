import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

/** Maximum of PostgreSQL's `scram_iterations`. */
const MAX_ITERATIONS = 2 ** 31 - 1

/** Keys derived from a password and a salt (RFC 5802, section 3). */
interface Keys {
  client: Buffer
  stored: Buffer
  server: Buffer
}

/** Cached keys of a role; valid until its password changes. */
export interface KnownKeys {
  salt: string
  iterations: number
  keys: Promise<Keys>
}

/** The client's side of SCRAM-SHA-256 without channel binding (RFC 5802, RFC 7677). */
export class Scram {
  readonly #password: string
  readonly #nonce = randomBytes(18).toString('base64')
  #serverSignature: Buffer | undefined
  #isVerified = false
  /** Keys for the next log-in with this password, which need not be derived again. */
  known: KnownKeys | undefined

  constructor(password: string, known: KnownKeys | undefined) {
    this.#password = password
    this.known = known
  }

  /** Whether the server has proved that it knows the password. */
  get isVerified(): boolean {
    return this.#isVerified
  }

  /** Returns the client-first-message. PostgreSQL ignores its user: the startup packet names it. */
  first(): string {
    return `n,,${this.#firstBare}`
  }

  /**
   * Returns the client-final-message.
   * @throws {Error} SCRAM_FAILED if the server's message does not answer `first()`
   */
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

  /** @throws {Error} SCRAM_FAILED if the server's signature is wrong */
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
 * Returns a password in the form that PostgreSQL stores, so that no statement and no log contains
 * the password itself (PostgreSQL manual, "pg_authid"; RFC 5803). It has one iteration: more would
 * protect guessable passwords, but these are random keys.
 */
export async function scramVerifier(password: string): Promise<string> {
  const salt = randomBytes(16).toString('base64')
  const { stored, server } = await deriveKeys(password, salt, 1)
  return `SCRAM-SHA-256$1:${salt}$${stored.toString('base64')}:${server.toString('base64')}`
}

async function deriveKeys(password: string, salt: string, iterations: number): Promise<Keys> {
  // Approximates SASLprep (RFC 4013) for the characters that occur in passwords.
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

/** Returns the error of a server that does not prove that it knows the password. */
export function notScram(): Error {
  const message = 'The server did not prove by SCRAM that it knows the password'
  return Object.assign(new Error(message), { code: 'SCRAM_FAILED' })
}
