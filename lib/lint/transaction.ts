import type { Node } from 'libpg-query'
import { optionsOf } from '../deploy/parser/options.ts'

/**
 * Returns the name of a statement that PostgreSQL refuses in a transaction (PostgreSQL manual, "SQL
 * Commands"); undefined for all others.
 */
export function refusedInTransaction(node: Node): string | undefined {
  if ('IndexStmt' in node) {
    return node.IndexStmt.concurrent ? 'CREATE INDEX CONCURRENTLY' : undefined
  }
  if ('ReindexStmt' in node) {
    const { kind, params } = node.ReindexStmt
    if (optionsOf(params).has('concurrently')) return 'REINDEX CONCURRENTLY'
    const whole = REINDEXED[kind ?? '']
    return whole && `REINDEX ${whole}`
  }
  if ('DropStmt' in node) return node.DropStmt.concurrent ? 'DROP INDEX CONCURRENTLY' : undefined
  if ('AlterTableStmt' in node) {
    const isDetach = (node.AlterTableStmt.cmds ?? []).some((one) => {
      const def = 'AlterTableCmd' in one ? one.AlterTableCmd.def : undefined
      return def && 'PartitionCmd' in def && def.PartitionCmd.concurrent
    })
    return isDetach ? 'DETACH PARTITION … CONCURRENTLY' : undefined
  }
  if ('VacuumStmt' in node) return node.VacuumStmt.is_vacuumcmd ? 'VACUUM' : undefined
  return Object.entries(ALWAYS).find(([kind]) => kind in node)?.[1]
}

/** What REINDEX does in transactions of its own. */
const REINDEXED: Record<string, string> = {
  REINDEX_OBJECT_SCHEMA: 'SCHEMA',
  REINDEX_OBJECT_SYSTEM: 'SYSTEM',
  REINDEX_OBJECT_DATABASE: 'DATABASE',
}

const ALWAYS = {
  CreatedbStmt: 'CREATE DATABASE',
  DropdbStmt: 'DROP DATABASE',
  CreateTableSpaceStmt: 'CREATE TABLESPACE',
  DropTableSpaceStmt: 'DROP TABLESPACE',
  AlterSystemStmt: 'ALTER SYSTEM',
}
