import { concurrently } from '../concurrently.ts'
import { GatewayError } from '../errors.ts'
import type { Gateway } from '../gateway.ts'
import { isPostgresError } from '../postgres/errors.ts'
import type { CatalogEntry } from '../tenancy/catalog-table.ts'

/** One deploy as a database's ledger keeps it. */
export interface Deployment {
  database: string
  /** ISO 8601. */
  deployed_at: string
  [field: string]: unknown
}

const CONCURRENCY = 8
const UNDEFINED_TABLE = '42P01'

/**
 * The last deploys of a platform's databases, or of one tenant's, newest first; those that failed
 * too. Read from the databases' own ledgers.
 * @throws {GatewayError} database_not_found for a platform or a tenant that has none
 */
export async function readDeployments(
  gateway: Gateway,
  platform: string,
  tenantId: string | null | undefined,
  limit: number,
): Promise<Deployment[]> {
  const entries = (await gateway.catalog.list(platform)).filter(
    (entry) => tenantId === undefined || entry.tenantId === tenantId,
  )
  if (entries.length === 0) {
    throw new GatewayError('database_not_found', `Platform ${platform} has no such database`)
  }
  const found: Deployment[] = []
  await concurrently(entries, CONCURRENCY, async (entry) => {
    found.push(...(await readOne(gateway, entry, limit)))
  })
  return found
    .sort((a, b) => (a.deployed_at < b.deployed_at ? 1 : a.deployed_at > b.deployed_at ? -1 : 0))
    .slice(0, limit)
}

async function readOne(
  { pools }: Gateway,
  { database, tenantId }: CatalogEntry,
  limit: number,
): Promise<Deployment[]> {
  try {
    const rows = await pools.use(
      database,
      (sql) => sql<{ deployment: object }[]>`
        select to_json(d) as deployment
        from public._db_gateway_deployments d
        order by id desc
        limit ${limit}
      `,
    )
    return rows.map(
      ({ deployment }) =>
        ({ database, tenant_id: tenantId, ...deployment }) as unknown as Deployment,
    )
  } catch (error) {
    // Nothing was ever deployed to it.
    if (isPostgresError(error) && error.code === UNDEFINED_TABLE) return []
    throw error
  }
}
