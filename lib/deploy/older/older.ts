import type { Owner } from '../../tenancy/names.ts'
import type { Standing } from '../../tenancy/schemas/archive-order.ts'
import type { CatalogAccess } from '../../tenancy/schemas/stored-archives.ts'
import type { DeployOrigin } from '../result.ts'
import { standingOf } from './standing.ts'

/** How a deploy treats an archive that is older than the one in place. */
export interface Older {
  /**
   * `ignore`: changes nothing. `deploy`: deploys its code only. `revert`: deploys the code of any
   * archive whose migrations, schemas, types and seeders the database has had.
   */
  how: 'ignore' | 'deploy' | 'revert'
  /** Owner of the database, for the commands in warnings. */
  owner: Owner
  /** Returns the order of the archive and another one in the owner's schema, by the catalog. */
  standingTo(checksum: string): Promise<Standing>
}

/**
 * Returns how a deploy to the owner's database treats an archive.
 * @param origin origin of the request
 * @param checksum checksum of the archive
 */
export function olderOf(
  catalog: CatalogAccess,
  origin: DeployOrigin,
  owner: Owner,
  checksum: string,
  how: Older['how'],
): Older {
  return { how, owner, standingTo: standingOf(catalog, origin, owner, checksum) }
}
