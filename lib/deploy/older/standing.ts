import type { Catalog } from '../../catalog.ts'
import { readStanding, type Standing } from '../../tenancy/archives.ts'
import type { DeployOrigin } from '../result.ts'

/** By request: all databases of a fleet have the same answer, whatever the first of them change. */
const asked = new WeakMap<DeployOrigin, Map<string, Promise<Standing>>>()

/** What tells how an archive stands to others of its platform, once for all databases of a request. */
export function standingOf(
  catalog: Pick<Catalog, 'use'>,
  origin: DeployOrigin,
  platform: string,
  checksum: string,
): (than: string) => Promise<Standing> {
  const known = asked.get(origin) ?? new Map<string, Promise<Standing>>()
  asked.set(origin, known)
  return (than) => {
    const pair = { platform, checksum, than }
    const answer = known.get(than) ?? catalog.use((admin) => readStanding(admin, pair))
    known.set(than, answer)
    answer.catch(() => known.delete(than))
    return answer
  }
}
