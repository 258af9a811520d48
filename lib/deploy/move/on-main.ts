import type { Sql } from '../../postgres/pools/connection.ts'
import type { DeployParts } from '../parts.ts'

/**
 * Writes to the catalog of `main` what it has of a tenant of another server, after the same was written
 * to the catalog of that server. A failure is logged: the tenant has its new name, or its copy.
 */
export async function onMain(
  { catalog, platformCatalog, log }: DeployParts,
  write: (sql: Sql) => Promise<void>,
): Promise<void> {
  if (catalog === platformCatalog) return
  try {
    await platformCatalog.use(write)
  } catch (error) {
    const cause = (error as Error).message
    log.warn('The lists of databases that /migrate has not finished could not be updated', {
      cause,
    })
  }
}
