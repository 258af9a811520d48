import type { DeployParts } from '../parts.ts'
import type { DeployRequest } from '../request.ts'
import type { DeployResult } from '../result.ts'
import { confirm } from './record.ts'

/**
 * Has the records agree with an archive that was found in place: the catalog has it, and the last
 * deploy of the history did not fail.
 */
export async function confirmUnchanged(
  parts: DeployParts,
  request: DeployRequest,
  result: DeployResult,
): Promise<void> {
  const { owner, archive, origin } = request
  // A gateway that was killed right after its deploy left no record in the catalog.
  const { isNews, hasFailed } = await confirm(parts, request)
  if (isNews) await parts.deployments.copyLedger(owner)
  if (!hasFailed) return
  // The archive that failed is given up: without a record of this deploy it would be the last one.
  const about = { owner, archiveChecksum: archive.checksum, origin, isNew: false }
  await parts.deployments.record({ ...about, result, executionTimeMs: 0 })
}
