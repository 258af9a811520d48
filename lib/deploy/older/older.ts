import type { Catalog } from '../../tenancy/catalog/catalog.ts'
import type { Owner } from '../../tenancy/names.ts'
import type { Standing } from '../../tenancy/schemas/archive-order.ts'
import type { DeployOrigin } from '../result.ts'
import { standingOf } from './standing.ts'

/** How a deploy deals with an archive that is older than the one in place. */
export interface Older {
  /**
   * `ignore`: nothing is changed. `deploy`: its code is deployed. `revert`: the code of any archive
   * is deployed, of which the database has had the rest.
   */
  how: 'ignore' | 'deploy' | 'revert'
  /** Whose database it is, for what the warnings tell to do. */
  owner: Owner
  /** How the archive stands to the one with this checksum, in the owner's schema, by the catalog. */
  standingTo(checksum: string): Promise<Standing>
}

/**
 * How a deploy to the owner's database deals with an archive, which has this checksum. `origin` is that
 * of the request.
 */
export function olderOf(
  catalog: Pick<Catalog, 'use'>,
  origin: DeployOrigin,
  owner: Owner,
  checksum: string,
  how: Older['how'],
): Older {
  return { how, owner, standingTo: standingOf(catalog, origin, owner, checksum) }
}
