import type { Catalog } from '../../catalog.ts'
import type { Owner } from '../../names.ts'
import { isOlderArchive } from '../../tenancy/archives.ts'

/** How a deploy deals with an archive that is older than the one in place. */
export interface Older {
  /**
   * `ignore`: nothing is changed. `deploy`: its code is deployed. `revert`: the code of any archive
   * is deployed, of which the database has had the rest.
   */
  how: 'ignore' | 'deploy' | 'revert'
  /** Whose database it is, for what the warnings tell to do. */
  owner: Owner
  /** Whether the archive came to the platform before the one with this checksum, by the catalog. */
  isBefore(checksum: string): Promise<boolean>
}

/** How a deploy to the owner's database deals with an archive, which has this checksum. */
export function olderOf(
  catalog: Pick<Catalog, 'use'>,
  owner: Owner,
  checksum: string,
  how: Older['how'],
): Older {
  const isBefore = (than: string) =>
    catalog.use((admin) => isOlderArchive(admin, { platform: owner.platform, checksum, than }))
  return { how, owner, isBefore }
}
