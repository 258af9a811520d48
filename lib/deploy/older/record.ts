import type { SchemaArchive } from '../../archive/archive.ts'
import type { Log } from '../../log.ts'
import type { Catalog } from '../../tenancy/catalog/catalog.ts'
import type { Owner } from '../../tenancy/names.ts'
import { keepArchive } from '../../tenancy/schemas/archives.ts'
import type { DeployResult } from '../result.ts'

/** What writes down which database has which archive, and keeps the archives. */
interface Books {
  catalog: Catalog
  config: { keptArchives: number }
  log: Log
}

/** An archive that an owner's database has now. */
interface Deployed {
  owner: Owner
  archive: SchemaArchive
  /** The tar.gz that it was read from. */
  packed: Uint8Array
}

/** Writes down what a deploy has changed, if anything, and keeps its archive. */
export async function record(
  books: Books,
  deployed: Deployed,
  result: DeployResult,
): Promise<void> {
  if (result.isSuperseded) return
  const isKept = await books.catalog.recordDeploy(deployed.owner, {
    checksum: deployed.archive.checksum,
    how: result.isBack ? 'back' : 'deployed',
    functions: result.functions,
  })
  if (!isKept) await keep(books, deployed)
}

/**
 * Writes down that an archive is in place, and keeps it, where that was not done.
 * @returns whether it was not written down
 */
export async function confirm(books: Books, deployed: Deployed): Promise<boolean> {
  const { owner, archive } = deployed
  const { isKept, isNews } = await books.catalog.confirmDeploy(owner, archive.checksum)
  if (!isKept && books.config.keptArchives > 0) await keep(books, deployed)
  return isNews
}

/** An archive that cannot be kept is no reason to call a deploy failed that is done. */
async function keep({ catalog, config, log }: Books, deployed: Deployed): Promise<void> {
  const { owner, archive, packed } = deployed
  const { platform } = owner
  const { checksum } = archive
  try {
    await catalog.use((sql) =>
      keepArchive(sql, { platform, checksum, packed }, config.keptArchives),
    )
  } catch (error) {
    log.warn('An archive could not be kept for /admin/revert', {
      platform,
      checksum,
      cause: (error as Error).message,
    })
  }
}
