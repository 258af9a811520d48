import { GatewayError } from '../errors.ts'
import type { NewEntry } from '../tenancy/catalog/catalog-table.ts'
import { databaseName } from '../tenancy/names.ts'
import { alreadyThere } from '../tenancy/owner-identity.ts'
import { ensureDatabase } from './database/database.ts'
import { record } from './older/record.ts'
import type { DeployParts } from './parts.ts'
import { type DeployRequest, deployTo } from './register.ts'
import type { DeployResult } from './result.ts'
import { copyTemplate } from './templates/copy.ts'
import { deployWithProof } from './templates/proof.ts'

/**
 * Creates the owner's database with the archive's schema, from the archive's template if there is
 * one. Drops the database again if the deploy fails.
 * @throws {GatewayError} database_already_exists, the only 409; database_name_collision if the name
 *   belongs to another owner; any error of `deploy`, with 422 in place of 409
 */
export async function createWithSchema(
  parts: DeployParts,
  request: DeployRequest,
): Promise<DeployResult> {
  const { schema, tenantId } = request.owner
  const isPlain = schema === null && tenantId !== null
  try {
    return await deployWithProof(parts, request, () =>
      // A tenant of no schema is made here by database_id alone.
      createAlone(parts, request, { madeBy: isPlain ? 'database_id' : null }),
    )
  } catch (error) {
    throw asCreationError(error)
  }
}

/**
 * The same without a proof, for an entry of the catalog that says more.
 * @throws {GatewayError} database_already_exists; name_conflict; what a deploy throws
 */
export async function createAlone(
  parts: DeployParts,
  request: DeployRequest,
  about: NewEntry,
): Promise<DeployResult> {
  const { owner, onDatabase } = request
  const database = databaseName(owner)
  return parts.queue.run(database, async () => {
    const result = await ensureDatabase(
      parts,
      owner,
      (isNew) => deployTo(parts, request, isNew),
      true,
      onDatabase,
      (admin) => copyTemplate(parts, admin, request),
      about,
    )
    if (!result) throw alreadyThere(owner, database)
    await record(parts, request, result)
    return result
  })
}

/** Clients take every 409 for "the database exists already"; other conflicts become 422. */
function asCreationError(error: unknown): unknown {
  if (!(error instanceof GatewayError) || error.status !== 409) return error
  const { code, message, details } = error
  if (code === 'database_already_exists') return error
  if (code === 'name_conflict') return new GatewayError('database_name_collision', message, details)
  return new GatewayError(code, message, details, 422)
}
