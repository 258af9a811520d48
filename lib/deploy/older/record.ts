import type { SchemaArchive } from '../../archive/archive.ts'
import type { Log } from '../../log.ts'
import type { Catalog } from '../../tenancy/catalog/catalog.ts'
import type { Owner } from '../../tenancy/names.ts'
import { keepArchive } from '../../tenancy/schemas/archives.ts'
import { noteArchive, readArchive } from '../../tenancy/schemas/platform-archives.ts'
import { confirmDeploy, recordDeploy } from '../../tenancy/schemas/record-deploys.ts'
import type { CatalogAccess } from '../../tenancy/schemas/stored-archives.ts'
import type { DeployResult } from '../result.ts'

/** The catalog, which records the archive in place of each database and stores archives. */
interface Books {
  catalog: Catalog
  platformCatalog: CatalogAccess
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
  const { owner, archive } = deployed
  const { checksum } = archive
  const how = result.isBack ? 'back' : 'deployed'
  const { functions } = result
  const isKeptHere = await recordDeploy(books.catalog, owner, { checksum, how, functions })
  const isKept = isOfMain(books)
    ? isKeptHere
    : await books.platformCatalog.use((sql) => noteArchive(sql, { ...owner, checksum, how }))
  if (!isKept) await keep(books, deployed)
}

/**
 * Records that an archive is in place, and stores it, unless that was done before.
 * @returns `isNews`: it was not recorded before; `hasFailed`: the last deploy that is recorded failed
 */
export async function confirm(books: Books, deployed: Deployed) {
  const { owner, archive } = deployed
  const { isKept: isKeptHere, ...known } = await confirmDeploy(
    books.catalog,
    owner,
    archive.checksum,
  )
  const isKept = isOfMain(books) ? isKeptHere : await confirmArchive(books, deployed)
  if (!isKept && books.config.keptArchives > 0) await keep(books, deployed)
  return known
}

/** Whether the archives of the platform are in the same catalog as the database. */
function isOfMain({ catalog, platformCatalog }: Pick<Books, 'catalog' | 'platformCatalog'>) {
  return catalog === platformCatalog
}

/** Has `main` know an archive that is in place on another server; returns whether it is kept. */
async function confirmArchive(books: Books, { owner, archive }: Deployed): Promise<boolean> {
  const { platformCatalog } = books
  const of = { platform: owner.platform, schema: owner.schema, checksum: archive.checksum }
  const { isInOrder, isKept } = await platformCatalog.use((sql) => readArchive(sql, of))
  if (isInOrder) return isKept
  return platformCatalog.use((sql) => noteArchive(sql, { ...of, how: 'seen' }))
}

/**
 * Stores an archive. A failure is logged and not thrown, because the deploy itself has succeeded.
 */
async function keep({ platformCatalog, config, log }: Books, deployed: Deployed): Promise<void> {
  const { owner, archive, packed } = deployed
  const { platform } = owner
  const { checksum } = archive
  try {
    await platformCatalog.use((sql) =>
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
