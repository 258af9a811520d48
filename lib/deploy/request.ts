import type { SchemaArchive } from '../archive/archive.ts'
import type { Owner } from '../tenancy/names.ts'
import type { Span } from '../tracing/scope.ts'
import type { OnDatabase } from './database/database.ts'
import type { Older } from './older/older.ts'
import type { DeployFlags, DeployOrigin } from './result.ts'

/** A request to deploy an archive to the database of an owner. */
export interface DeployRequest {
  owner: Owner
  archive: SchemaArchive
  /** The tar.gz from which `archive` was read. */
  packed: Uint8Array
  /**
   * How to treat an archive that is older than the one in place; `whole` deploys it like any other.
   */
  older: Older['how'] | 'whole'
  flags: DeployFlags
  origin: DeployOrigin
  /** Span of the database in a fleet; by default the scope of `origin`. */
  span?: Span | undefined
  /** Called when the owner's database is created, or dropped again. */
  onDatabase?: OnDatabase
  /** Called when the deploy gets its turn in the queue; an error that it throws ends the deploy. */
  onTurn?: () => void
  /**
   * Called when a connection to the database is open; statements of the archive may run from then
   * on.
   */
  onOpen?: () => void
}
