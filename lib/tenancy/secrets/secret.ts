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

/** The secret of a data folder. */
export interface OwnSecret {
  secret: Secret
  /** This start has made it up: there was none, or somebody has removed it. */
  isNew: boolean
}

/** The secret in the data folder of an embedded PostgreSQL; the first start makes it up. */
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
    `${path} is damaged: restore it, or remove it to have the roles of all platforms get new passwords`,
  )
}

/** As `readOwnSecret`; undefined where the folder has none. */
export async function findOwnSecret(dataDir: string): Promise<Secret | undefined> {
  const text = await readFile(join(dataDir, FILE), 'utf8').catch(() => '')
  return text.trim().length >= 32 ? new Secret(text.trim()) : undefined
}

/** Whole or not at all, and the first one stays: false where that is another one. */
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
