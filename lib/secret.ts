import { createHmac, randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'

const FILE = 'gateway-secret'

/**
 * The secret that everything is derived from which PostgreSQL asks the gateway for. Nothing derived
 * is stored, and gateways with the same secret agree on all of it.
 */
export class Secret {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** Tells secrets apart, and nothing else of them. */
  get fingerprint(): string {
    return this.#derive('fingerprint').slice(0, 16)
  }

  passwordOf(role: string): string {
    return this.#derive(`password of ${role}`)
  }

  /** What shows a database's ledger that it is the gateway who writes. */
  ledgerKeyOf(database: string): string {
    return this.#derive(`ledger of ${database}`)
  }

  /** 256 bits, as base64url. */
  #derive(purpose: string): string {
    return createHmac('sha256', this.#text).update(purpose).digest('base64url')
  }
}

/** The secret in the data folder of an embedded PostgreSQL; the first start makes it up. */
export async function readOwnSecret(dataDir: string): Promise<Secret> {
  const path = join(dataDir, FILE)
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const found = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    return makeUp(path)
  })
  const text = found.trim()
  if (text.length >= 32) return new Secret(text)
  throw new Error(
    `${path} is damaged: restore it, or remove it to have the roles of all platforms get new passwords`,
  )
}

/** Whole or not at all, and the first one stays. */
async function makeUp(path: string): Promise<string> {
  const draft = `${path}.${randomBytes(8).toString('hex')}`
  const file = await open(draft, 'wx', 0o600)
  await file.writeFile(`${randomBytes(32).toString('hex')}\n`)
  await file.sync()
  await file.close()
  await link(draft, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await rm(draft)
  return readFile(path, 'utf8')
}
