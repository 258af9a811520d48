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

/** Request to deploy a stored schema to one database. */
export interface StoredDeploy {
  owner: Owner
  schemaName: string
  archive: SchemaArchive
  packed: Uint8Array
  options: V2Options
  origin: DeployOrigin
}

/** Outcome of the deploy. */
export interface StoredDeployed {
  result: DeployResult
  /** Null if the request skips the verification. */
  verification: Verification | null
  seeders: SeederValidation[]
  warnings: string[]
}

/**
 * Deploys a stored schema to the owner's existing database and verifies the result.
 * @throws {GatewayError} as `update`; the hint of data_loss has the words of `allow` in /v2/*
 */
export async function migrateStored(
  parts: DeployParts,
  request: StoredDeploy,
): Promise<StoredDeployed> {
  const { owner, schemaName, archive, options } = request
  const database = databaseName(owner)
  const deploy = { ...request, older: 'whole' as const, flags: options.flags }
  const find = () => parts.catalog.locate(owner)
  const { value: result, warnings } = await withProof(parts, { ...deploy, find }, true, () =>
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
