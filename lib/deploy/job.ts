import type { SchemaArchive } from '../archive/archive.ts'
import type { Notice } from '../postgres/driver.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import type { Look } from './look.ts'
import type { Older } from './older/older.ts'
import type { DeployFlags, DeployOrigin } from './result.ts'
import type { TimeLimit } from './run/time-limit.ts'

/** One archive to bring into one database. */
export interface Job {
  database: string
  /** What its ledger takes. */
  ledgerKey: string
  archive: SchemaArchive
  flags: DeployFlags
  /** What to do where the archive is older than the one in place; undefined: that is not asked. */
  older?: Older | undefined
  /** This very request created the database: it has nothing to lose. */
  isNew: boolean
  /** How long the deploy is tried again where it does not get a lock, in milliseconds. */
  lockTimeoutMs: number
  /** How long all of it may take. */
  limit: TimeLimit
  origin: DeployOrigin
  /** Has PostgreSQL's notices told to `heard` from now on. */
  listen?: (heard: (notice: Notice) => void) => void
  /**
   * Called in its transaction, right before it commits another type of a column: see retire-sessions.ts.
   * What it returns is called right behind the commit.
   */
  retire: () => Promise<() => void>
  /** Sends a look at the catalogs as they are in the transaction. */
  look?: (sql: Sql) => Promise<Look>
}
