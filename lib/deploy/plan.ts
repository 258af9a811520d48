import type { SchemaArchive, SchemaFile } from '../archive/archive.ts'
import type { Sql } from '../postgres/connection.ts'
import { readDirectives } from './directives.ts'
import { type EnumPlan, planEnumValues } from './enum-values.ts'
import type { Ledger } from './ledger.ts'
import { findNeeds, type Needs } from './needs.ts'
import { parseScripts, readScripts, type Script } from './run-file.ts'
import { orderTypes, type TypeOrder } from './type-order.ts'

/** How the pending migrations come to what they need, as their syntax trees tell. */
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
}

/**
 * Works out how pending migrations run.
 * @throws {GatewayError} with the section's code where a file has a statement that no deploy can run
 */
export async function planMigrations(
  sql: Sql,
  { database, archive, isNew }: { database: string; archive: SchemaArchive; isNew: boolean },
  ledger: Ledger,
  pending: SchemaFile[],
): Promise<MigrationPlan> {
  const { files } = archive
  if (pending.length === 0) {
    return {
      scripts: [],
      enums: { ahead: [], passedOver: new Set(), commitAfter: new Set() },
      types: { before: files.types, after: [], names: new Map() },
      needs: NOTHING,
    }
  }
  const scripts = await parseScripts('migration_failed', 'Migration', pending)
  const isDeclaring = files.tables.length + files.types.length > 0
  const archived = isDeclaring ? await readScripts(files.migrations) : scripts
  const isInTransaction = ({ file }: Script) => !readDirectives(file).noTransaction
  const enums = isNew
    ? { ahead: [], passedOver: new Set<never>(), commitAfter: new Set<never>() }
    : await planEnumValues(sql, scripts, isInTransaction)
  const isDeployed = (section: 'types' | 'functions') => (file: SchemaFile) =>
    ledger.filesOf(section).has(file.name)
  const types = await orderTypes(files.types, scripts, archived, isDeployed('types'), isNew)
  const needs = await findNeeds(sql, database, files, archived, isDeployed('functions'))
  return { scripts, enums, types, needs }
}
