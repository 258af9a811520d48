import { asGateway } from '../database/handover.ts'
import type { DeployParts } from '../parts.ts'
import { createAnswers } from './tables.ts'

/**
 * Creates the table of kept answers in a database whose last deploy was by a gateway without it.
 * @throws {GatewayError} name_conflict if another role owns something with its names; as `asGateway`
 */
export async function prepareAnswers(parts: DeployParts, database: string): Promise<void> {
  const holder = parts.catalog.holderOf(database)
  if (!holder) throw new Error(`The catalog does not know whose database ${database} is`)
  await asGateway(parts, database, (sql) => createAnswers(sql, holder.role))
}
