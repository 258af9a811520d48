import type { Sql } from '../../postgres/pools/connection.ts'
import type { CatalogEntry } from '../../tenancy/catalog/catalog-table.ts'
import { EXTEND_EVERY_MS, endHold, extendHold, setHold } from '../../tenancy/catalog/tenant-hold.ts'
import type { Operation } from '../../tenancy/hold.ts'
import type { DeployParts } from '../parts.ts'

/** Why and how the calls of a tenant are held. */
export interface HoldRequest {
  operation: Operation
  /** Retry-After of the error that calls get, in seconds; null: calls wait. */
  retryAfterS: number | null
}

/**
 * Runs `work` while the calls of the tenant are held, on every gateway, and new sessions of its
 * database are asked for by nobody. If this gateway dies, the hold lapses within 3.5 s.
 * @param admin session in the administrative database, for `work` alone
 */
export async function whileHeld<T>(
  parts: DeployParts,
  admin: Sql,
  tenant: CatalogEntry,
  { operation, retryAfterS }: HoldRequest,
  work: () => Promise<T>,
): Promise<T> {
  const { catalog, log } = parts
  const { database } = tenant
  await setHold(admin, database, operation, retryAfterS)
  // The catalog's notification does both, here as on the other gateways, but later.
  catalog.forget(tenant)
  parts.forgetFunctions(database)
  const extend = () => {
    catalog
      .use((sql) => extendHold(sql, database))
      .catch((error) => log.debug(`The hold of ${database} is not extended: ${error.message}`))
  }
  const timer = setInterval(extend, EXTEND_EVERY_MS)
  try {
    return await work()
  } finally {
    clearInterval(timer)
    await catalog
      .use((sql) => endHold(sql, database))
      .catch((error) => log.debug(`The hold of ${database} lapses: ${error.message}`))
    catalog.forget(tenant)
  }
}
