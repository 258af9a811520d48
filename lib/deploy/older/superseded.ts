import type { Owner } from '../../tenancy/names.ts'
import { type DeployResult, unchangedResult } from '../result.ts'
import type { Superseding } from './ledger.ts'

/** Returns the result of a /register that changes nothing because its archive is superseded. */
export function supersededResult(
  owner: Owner,
  checksum: string,
  { checksum: inPlace, deployedAt, functionsDeployed }: Superseding,
): DeployResult {
  const { platform, tenantId, schema } = owner
  const named =
    schema === null
      ? { platform, tenant_id: tenantId ?? undefined }
      : { platform, schema_name: schema, uuid: tenantId ?? undefined }
  const form = Object.entries(named)
    .flatMap(([field, value]) => (value === undefined ? [] : `-F ${field}=${value}`))
    .join(' ')
  const body = JSON.stringify({ ...named, checksum })
  return {
    ...unchangedResult(functionsDeployed),
    isSuperseded: true,
    warnings: [
      `The archive ${short(checksum)} was deployed here before, and ${short(inPlace)} took its place on ${deployedAt}: nothing was changed. ` +
        `To go back to it: curl ${form} -F allow=older -F schema=@postgresql.tar.gz …/register. ` +
        `${tenantId === null ? 'For all databases of the platform' : 'Or without the file'}: POST /admin/revert ${body}`,
    ],
  }
}

/** Returns the first 12 digits of a checksum, for messages. */
export function short(checksum: string): string {
  return checksum.slice(0, 12)
}
