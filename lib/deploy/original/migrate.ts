import type { SchemaArchive } from '../../archive/archive.ts'
import { GatewayError } from '../../errors.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import type { DeployParts } from '../parts.ts'
import { update } from '../register.ts'
import type { DeployOrigin, DeployResult } from '../result.ts'
import { withProof } from '../templates/proof.ts'
import { withV2Hint } from './allow.ts'
import type { V2Options } from './request.ts'
import { type SeederValidation, type Verification, verify } from './verify.ts'

/** A stored schema for one database. */
export interface StoredDeploy {
  owner: Owner
  schemaName: string
  archive: SchemaArchive
  packed: Uint8Array
  options: V2Options
  origin: DeployOrigin
}

/** What became of it. */
export interface StoredDeployed {
  result: DeployResult
  /** Null where the request asks for none. */
  verification: Verification | null
  seeders: SeederValidation[]
  warnings: string[]
}

/**
 * Brings the owner's database, which exists, to a stored schema, and looks whether all is there.
 * @throws {GatewayError} as `update`; data_loss with the words of `allow` in its hint
 */
export async function migrateStored(
  parts: DeployParts,
  request: StoredDeploy,
): Promise<StoredDeployed> {
  const { owner, schemaName, archive, options } = request
  const database = databaseName(owner)
  const deploy = { ...request, older: 'whole' as const, flags: options.flags }
  const { value: result, warnings } = await withProof(parts, deploy, true, () =>
    update(parts, deploy).catch((error) => {
      throw error instanceof GatewayError ? withV2Hint(error) : error
    }),
  )
  await parts.catalog.recordStored(owner.platform, database, schemaName)
  const all = [...archive.warnings, ...result.warnings, ...warnings]
  if (options.skipVerification) return { result, verification: null, seeders: [], warnings: all }
  const verified = await parts.pools.use(database, (sql) => verify(sql, database, archive))
  return { result, ...verified, warnings: all }
}
