import type { AlterTableStmt, Node } from 'libpg-query'

/** Statements that change catalogs alone. */
const KINDS = new Set([
  'AlterFunctionStmt',
  'CommentStmt',
  'CompositeTypeStmt',
  'CreateEnumStmt',
  'CreateFunctionStmt',
  'CreatePolicyStmt',
  'CreateTrigStmt',
  'DefineStmt',
  'GrantStmt',
  'ViewStmt',
])

/** Parts of ALTER TABLE that take no rows away. */
const ALTERS = new Set([
  'AT_AddColumn',
  'AT_AddConstraint',
  'AT_ColumnDefault',
  'AT_DropNotNull',
  'AT_EnableRowSecurity',
  'AT_SetNotNull',
])

/**
 * Returns whether a statement does the same in all databases with the same catalogs: it runs no
 * function of the platform, takes no rows away and leaves the session as it is. Rows can only make it
 * fail.
 */
export function isPlain(node: Node): boolean {
  const [kind = ''] = Object.keys(node)
  const text = JSON.stringify(node)
  if (text.includes('"relpersistence":"t"')) return false
  if (KINDS.has(kind)) return true
  // What a new table's defaults and checks call does not run.
  if ('CreateStmt' in node) return !node.CreateStmt.inhRelations && !node.CreateStmt.partbound
  if (text.includes('"FuncCall"')) return false
  if ('IndexStmt' in node) return !node.IndexStmt.concurrent
  return 'AlterTableStmt' in node && isPlainAlter(node.AlterTableStmt)
}

function isPlainAlter({ cmds = [], objtype }: AlterTableStmt): boolean {
  if (objtype !== 'OBJECT_TABLE') return false
  return cmds.every(
    (cmd) => 'AlterTableCmd' in cmd && ALTERS.has(cmd.AlterTableCmd.subtype as string),
  )
}
