import type { Owner } from '../../names.ts'

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
