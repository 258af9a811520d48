import type { Log } from '../../log.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { inTransaction } from '../../postgres/transaction.ts'
import { readStoredSecret, setFingerprint } from '../catalog/catalog-identity.ts'
import { Secret } from './secret.ts'
import type { Secrets } from './secrets.ts'

export interface SecretChangeOptions {
  secrets: Secrets
  log: Log
  /** Runs `work` in the database of the catalog; may run it twice. */
  use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>
  /** Sets the passwords of all roles to those of a secret, in the open transaction. */
  setPasswords: (sql: Sql, secret: Secret) => Promise<void>
  /** Class of the advisory locks that each gateway holds on its dedicated connection. */
  gatewaysLockClass: number
}

/** Class of the advisory locks that tell which secrets a gateway has; the bytes of "dbgs". */
export const LOCK_CLASS = 0x64626773

const LOOK_EVERY_MS = 2000

/**
 * Successive positive checks before the change. Gives a gateway that lost its dedicated connection
 * the time to open it again.
 */
const LOOKS = 5

/**
 * Puts the secret of the settings into force once every live gateway has it. Until then all
 * gateways use the old one. While a gateway has both, it retries a refused log-in with the other
 * password, so that no call fails.
 */
export class SecretChange {
  readonly #options: SecretChangeOptions
  #timer: NodeJS.Timeout | undefined
  #looks = 0

  constructor(options: SecretChangeOptions) {
    this.#options = options
  }

  /**
   * Takes a shared advisory lock for each secret of this gateway, which tells the others that it
   * has them. The locks last as long as the connection.
   */
  async tell(sql: Sql): Promise<void> {
    const keys = this.#options.secrets.all().map(({ fingerprint }) => lockKey(fingerprint))
    await sql.unsafe(
      keys.map((key) => `select pg_advisory_lock_shared(${LOCK_CLASS}, ${key})`).join(';'),
    )
  }

  /** Starts the periodic check, if the secret is to be changed. */
  start(): void {
    if (!this.#options.secrets.isChanging) return
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  async #look(): Promise<void> {
    const { use, log, secrets } = this.#options
    try {
      const isKnown = await use((sql) => this.#isKnownToAll(sql))
      this.#looks = isKnown ? this.#looks + 1 : 0
      if (!this.#timer || this.#looks < LOOKS) return
      this.stop()
      await use((sql) => this.#change(sql))
      log.info('The secret has been changed: GATEWAY_SECRET_PREVIOUS is no longer needed', {
        fingerprint: secrets.current.fingerprint,
      })
    } catch (error) {
      log.warn(
        `The secret could not be changed; the gateway tries again: ${(error as Error).message}`,
      )
      this.#looks = 0
      this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS).unref()
    }
  }

  async #isKnownToAll(sql: Sql): Promise<boolean> {
    const key = lockKey(this.#options.secrets.wanted.fingerprint)
    const [row] = await sql<{ known: boolean }[]>`
      with locks as (
        select pid, classid::bigint as class, objid::bigint as key
        from pg_locks
        where locktype = 'advisory' and granted and objsubid = 2
          and database = (select oid from pg_database where datname = current_database())
      )
      select not exists (
        select from locks gateway
        where class = ${this.#options.gatewaysLockClass} and key <> 0 and not exists (
          select from locks known
          where known.pid = gateway.pid and known.class = ${LOCK_CLASS} and known.key = ${key}
        )
      ) as known
    `
    return row!.known
  }

  /**
   * Changes the passwords, the comments of the roles and the catalog's fingerprint in one
   * transaction. Skips them if another gateway was first.
   */
  async #change(sql: Sql): Promise<void> {
    const { secrets, setPasswords } = this.#options
    const { fingerprint } = secrets.wanted
    await inTransaction(sql, async () => {
      const [row] = await sql<{ secret_fingerprint: string }[]>`
        select secret_fingerprint from _db_gateway_catalog for update
      `
      if (row!.secret_fingerprint !== fingerprint) {
        await setPasswords(sql, secrets.wanted)
        const stored = await readStoredSecret(sql)
        const isOver = stored !== undefined && new Secret(stored).fingerprint !== fingerprint
        if (isOver) await sql`delete from _db_gateway_secret`
        await setFingerprint(sql, fingerprint)
      }
    })
    secrets.change()
  }
}

/** Returns the key of a fingerprint's advisory lock. */
function lockKey(fingerprint: string): number {
  return Buffer.from(fingerprint, 'base64url').readUInt32BE(0) >>> 1
}
