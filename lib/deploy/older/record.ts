import type { SchemaArchive } from '../../archive/archive.ts'
import type { Log } from '../../log.ts'
import type { Catalog } from '../../tenancy/catalog/catalog.ts'
import type { Owner } from '../../tenancy/names.ts'
import { keepArchive } from '../../tenancy/schemas/archives.ts'
import { confirmDeploy, recordDeploy } from '../../tenancy/schemas/record-deploys.ts'
import type { DeployResult } from '../result.ts'

/** The catalog, which records the archive in place of each database and stores archives. */
interface Books {
  catalog: Catalog
  config: { keptArchives: number }
  log: Log
}

/** An archive that is now in place in the owner's database. */
interface Deployed {
  owner: Owner
  archive: SchemaArchive
  /** The tar.gz file of the archive. */
  packed: Uint8Array
}

/** Records the changes of a deploy in the catalog, and stores its archive. */
export async function record(
  books: Books,
  deployed: Deployed,
  result: DeployResult,
): Promise<void> {
  if (result.isSuperseded) return
  const isKept = await recordDeploy(books.catalog, deployed.owner, {
    checksum: deployed.archive.checksum,
    how: result.isBack ? 'back' : 'deployed',
    functions: result.functions,
  })
  if (!isKept) await keep(books, deployed)
}

/**
 * Records that an archive is in place, and stores it, unless that was done before.
 * @returns `isNews`: it was not recorded before; `hasFailed`: the last deploy that is recorded failed
 */
export async function confirm(books: Books, deployed: Deployed) {
  const { owner, archive } = deployed
  const { isKept, ...known } = await confirmDeploy(books.catalog, owner, archive.checksum)
  if (!isKept && books.config.keptArchives > 0) await keep(books, deployed)
  return known
}

/**
 * Stores an archive. A failure is logged and not thrown, because the deploy itself has succeeded.
 */
async function keep({ catalog, config, log }: Books, deployed: Deployed): Promise<void> {
  const { owner, archive, packed } = deployed
  const { platform } = owner
  const { checksum } = archive
  try {
    await catalog.use((sql) =>
      keepArchive(sql, { platform, checksum, packed }, config.keptArchives),
    )
  } catch (error) {
    log.warn('An archive could not be stored for /admin/revert', {
      platform,
      checksum,
      cause: (error as Error).message,
    })
  }
}
