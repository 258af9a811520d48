import type { Log } from '../../log.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { readStoredSecret, setFingerprint } from '../catalog/catalog-identity.ts'
import { Secret } from './secret.ts'
import type { Secrets } from './secrets.ts'

export interface SecretChangeOptions {
  secrets: Secrets
  log: Log
  /** Does something in the database of the catalog, maybe twice. */
  use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>
  /** Gives all roles the passwords of a secret, in the open transaction. */
  setPasswords: (sql: Sql, secret: Secret) => Promise<void>
  /** Class of the advisory locks that gateways hold on their kept connection. */
  gatewaysLockClass: number
}

/** Class of the advisory locks that say which secrets a gateway knows: "dbgs". */
export const LOCK_CLASS = 0x64626773

const LOOK_EVERY_MS = 2000

/** Looks in a row: a gateway that has lost its kept connection has opened it again by then. */
const LOOKS = 5

/**
 * Brings the secret of the settings into force, once every gateway that lives knows it. Until then
 * all go by the one before, and while both are known each tries the other password where one is
 * refused: no call fails.
 */
export class SecretChange {
  readonly #options: SecretChangeOptions
  #timer: NodeJS.Timeout | undefined
  #looks = 0

  constructor(options: SecretChangeOptions) {
    this.#options = options
  }

  /** Tells the others on the kept connection, for as long as it lives, which secrets are known here. */
  async tell(sql: Sql): Promise<void> {
    const keys = this.#options.secrets.all().map(({ fingerprint }) => lockKey(fingerprint))
    await sql.unsafe(
      keys.map((key) => `select pg_advisory_lock_shared(${LOCK_CLASS}, ${key})`).join(';'),
    )
  }

  /** Begins to look, where there is something to change. */
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
      log.info('The secret is changed: GATEWAY_SECRET_PREVIOUS is not needed any more', {
        fingerprint: secrets.current.fingerprint,
      })
    } catch (error) {
      log.warn(`The secret could not be changed, and is tried again: ${(error as Error).message}`)
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

  /** All at once: passwords, marks and what the catalog says. Another gateway may have been first. */
  async #change(sql: Sql): Promise<void> {
    const { secrets, setPasswords } = this.#options
    const { fingerprint } = secrets.wanted
    await sql.unsafe('begin')
    try {
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
      await sql.unsafe('commit')
    } catch (error) {
      await sql.unsafe('rollback').catch(() => {})
      throw error
    }
    secrets.change()
  }
}

/** A number that PostgreSQL takes for a lock, of a fingerprint. */
function lockKey(fingerprint: string): number {
  return Buffer.from(fingerprint, 'base64url').readUInt32BE(0) >>> 1
}
