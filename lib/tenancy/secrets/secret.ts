import { createHmac, randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'

const FILE = 'gateway-secret'

/**
 * The secret from which the gateway derives role passwords and ledger keys. No derived value is
 * stored, and gateways with the same secret derive the same values.
 */
export class Secret {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** Identifies the secret without revealing it. */
  get fingerprint(): string {
    return this.#derive('fingerprint').slice(0, 16)
  }

  passwordOf(role: string): string {
    return this.#derive(`password of ${role}`)
  }

  /** Returns the key that proves to a database's ledger that the gateway writes. */
  ledgerKeyOf(database: string): string {
    return this.#derive(`ledger of ${database}`)
  }

  /** Returns 256 bits, as base64url. */
  #derive(purpose: string): string {
    return createHmac('sha256', this.#text).update(purpose).digest('base64url')
  }
}

/** Secret of a data folder. */
export interface OwnSecret {
  secret: Secret
  /** True if this start generated it: there was none, or it was removed. */
  isNew: boolean
}

/**
 * Returns the secret of an embedded PostgreSQL's data folder, and generates it on the first start.
 * @throws {Error} if the file is damaged
 */
export async function readOwnSecret(dataDir: string): Promise<OwnSecret> {
  const path = join(dataDir, FILE)
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  let isNew = false
  const found = await readFile(path, 'utf8').catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    isNew = await makeUp(path)
    return readFile(path, 'utf8')
  })
  const text = found.trim()
  if (text.length >= 32) return { secret: new Secret(text), isNew }
  throw new Error(
    `${path} is damaged: restore it, or remove it to give the roles of all platforms new passwords`,
  )
}

/** Returns the secret of a data folder, or undefined if it has none. */
export async function findOwnSecret(dataDir: string): Promise<Secret | undefined> {
  const text = await readFile(join(dataDir, FILE), 'utf8').catch(() => '')
  return text.trim().length >= 32 ? new Secret(text.trim()) : undefined
}

/**
 * Writes a new secret file atomically. Returns false if another process has written one first,
 * which stays.
 */
async function makeUp(path: string): Promise<boolean> {
  const draft = `${path}.${randomBytes(8).toString('hex')}`
  const file = await open(draft, 'wx', 0o600)
  await file.writeFile(`${randomBytes(32).toString('hex')}\n`)
  await file.sync()
  await file.close()
  const isFirst = await link(draft, path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
      return false
    },
  )
  await rm(draft)
  return isFirst
}
