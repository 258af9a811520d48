import { withinMs } from '../../common/within.ts'
import { GatewayError } from '../../errors.ts'
import type { CatalogEntry } from '../../tenancy/catalog/catalog-table.ts'
import type { Owner } from '../../tenancy/names.ts'
import type { DeployParts, FleetServer } from '../parts.ts'

/** Databases on one PostgreSQL server, and the parts for it, or why it does not answer. */
export type Site<T = CatalogEntry> = {
  /** Name of the server; undefined for this one. */
  name?: string
  targets: T[]
} & ({ parts: DeployParts; away?: undefined } | { parts?: undefined; away: GatewayError })

/** How long a server may take to list its databases, in milliseconds; it is away otherwise. */
const PATIENCE_MS = 5000

/**
 * Lists databases of a platform on this server and on the others that have some, side by side. For a
 * server that does not answer it has those that the catalog of `main` has placed there.
 * @param list reads the databases in the catalog of one server
 * @param isAsked whether a placed database may be among them
 * @throws what `list` throws on this server
 */
export async function listSites<T extends Owner & { database: string }>(
  parts: DeployParts,
  platform: string,
  list: (parts: DeployParts) => Promise<T[]>,
  isAsked: (placed: Owner) => boolean,
): Promise<Site<T | (Owner & { database: string })>[]> {
  const others = parts.serversOf(platform)
  const [own, ...listed] = await Promise.all([
    list(parts),
    ...others.map((server) => listOther(server, list, isAsked)),
  ])
  return [{ parts, targets: own }, ...listed]
}

async function listOther<T extends Owner & { database: string }>(
  { name, parts, trouble, placed }: FleetServer,
  list: (parts: DeployParts) => Promise<T[]>,
  isAsked: (placed: Owner) => boolean,
): Promise<Site<T | (Owner & { database: string })>> {
  let why = trouble ?? 'does not answer'
  if (parts) {
    try {
      const targets = await withinMs(PATIENCE_MS, list(parts))
      if (targets) return { name, parts, targets }
    } catch (error) {
      if (!isAway(error)) throw error
      why = `does not answer: ${(error as Error).message}`
    }
  }
  const away = new GatewayError('connection_failed', `Server ${name} ${why}`, { server: name })
  return { name, away, targets: (await placed()).filter(isAsked) }
}

/** Whether an error of a server's catalog means that the server does not answer. */
export function isAway(error: unknown): boolean {
  return error instanceof GatewayError && [503, 504].includes(error.status)
}
