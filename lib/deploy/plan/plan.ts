import type { SchemaFile } from '../../archive/archive.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Job } from '../job.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { parseScripts, readScripts, type Script } from '../run/run-file.ts'
import { readDirectives } from './directives.ts'
import { type EnumPlan, noEnumPlan, planEnumValues } from './enum-values.ts'
import { findNeeds, type Needs } from './needs.ts'
import { orderTypes, type TypeOrder } from './type-order.ts'

/**
 * How pending migrations get the enum values, types, tables and functions that they need, derived
 * from their syntax trees.
 */
export interface MigrationPlan {
  scripts: Script[]
  enums: EnumPlan
  types: TypeOrder
  needs: Needs
}

const NOTHING: Needs = {
  isNeededBy: () => false,
  provideFor: async () => {},
  tables: new Set(),
  functions: new Set(),
}

/**
 * Plans how the pending migrations run.
 * @throws {GatewayError} with the section's code if a file has a statement that a deploy cannot run
 */
export async function planMigrations(
  sql: Sql,
  { database, archive, isNew, flags }: Pick<Job, 'database' | 'archive' | 'isNew' | 'flags'>,
  ledger: Ledger,
  pending: SchemaFile[],
): Promise<MigrationPlan> {
  const { files } = archive
  if (pending.length === 0) {
    return {
      scripts: [],
      enums: noEnumPlan(),
      types: { before: files.types, after: [], names: new Map() },
      needs: NOTHING,
    }
  }
  const scripts = await parseScripts('migration_failed', 'Migration', pending)
  const isDeclaring = files.tables.length + files.types.length > 0
  const archived = isDeclaring ? await readScripts(files.migrations) : scripts
  const isInTransaction = ({ file }: Script) => !readDirectives(file).noTransaction
  const enums = await planEnumValues(sql, scripts, isInTransaction, flags.dryRun)
  const isDeployed = ({ name }: SchemaFile) => ledger.types.has(name)
  const types = await orderTypes(files.types, scripts, archived, isDeployed, isNew)
  const isInPlace = ({ name, checksum }: SchemaFile) =>
    ledger.functions.get(name)?.checksum === checksum
  const needs = await findNeeds(sql, database, files, archived, scripts, isInPlace)
  return { scripts, enums, types, needs }
}
