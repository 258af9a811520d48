import type { SchemaArchive } from '../archive/archive.ts'
import type { Notice } from '../postgres/driver.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import type { Span } from '../tracing/scope.ts'
import type { Look } from './look.ts'
import type { Older } from './older/older.ts'
import type { DeployFlags, DeployOrigin } from './result.ts'
import type { TimeLimit } from './run/time-limit.ts'

/** One archive to deploy to one database. */
export interface Job {
  database: string
  /** Secret from which the keys of the ledger's writes are derived. */
  ledgerKey: string
  archive: SchemaArchive
  flags: DeployFlags
  /** How to treat an archive that is older than the one in place; undefined skips the check. */
  older?: Older | undefined
  /** Whether this request created the database, which then has no data to lose. */
  isNew: boolean
  /** How long the deploy is retried when it cannot get a lock, in milliseconds. */
  lockTimeoutMs: number
  /** Time limit of the whole deploy. */
  limit: TimeLimit
  origin: DeployOrigin
  /** Span of the deploy, below which its steps are; undefined without tracing. */
  span?: Span | undefined
  /** Registers a listener for PostgreSQL's notices on the connection. */
  listen?: (heard: (notice: Notice) => void) => void
  /**
   * Called in the deploy's transaction right before a commit that changes the type of a column; see
   * retire-sessions.ts. The function that it returns is called right after the commit.
   */
  retire: () => Promise<() => void>
  /** The request, for replays: see `scopeOf`. Undefined if the deploy is not remembered. */
  scope?: string | undefined
  /** Reads the digest of the catalogs inside the open transaction. */
  look?: (sql: Sql) => Promise<Look>
}
