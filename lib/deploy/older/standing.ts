import type { Owner } from '../../tenancy/names.ts'
import { readStanding, type Standing } from '../../tenancy/schemas/archive-order.ts'
import type { CatalogAccess } from '../../tenancy/schemas/stored-archives.ts'
import type { DeployOrigin } from '../result.ts'

/**
 * Answers by request. All databases of a fleet get the same answer, although the deploys to the
 * first ones change the catalog.
 */
const asked = new WeakMap<DeployOrigin, Map<string, Promise<Standing>>>()

/**
 * Returns a function that tells the order of an archive and other archives of the owner's schema.
 * It reads each answer once per request.
 */
export function standingOf(
  catalog: CatalogAccess,
  origin: DeployOrigin,
  { platform, schema }: Owner,
  checksum: string,
): (than: string) => Promise<Standing> {
  const known = asked.get(origin) ?? new Map<string, Promise<Standing>>()
  asked.set(origin, known)
  return (than) => {
    const pair = { platform, schema, checksum, than }
    const key = JSON.stringify([schema, than])
    const answer = known.get(key) ?? catalog.use((admin) => readStanding(admin, pair))
    known.set(key, answer)
    answer.catch(() => known.delete(key))
    return answer
  }
}
