import type { Node } from 'libpg-query'
import { strings } from './names.ts'

/**
 * A call of a helper function of the original gateway that changes, renames or drops one column.
 */
export interface ColumnHelper {
  kind: 'change type' | 'rename' | 'drop'
  /** Table as the statement writes it: a name, or schema.name. */
  table: string
  column: string
  /** The new type or the new name; null for a drop. */
  to: string | null
}

/** Prefix of the original gateway's functions. */
export const HELPER_PREFIX = '_stonescriptdb_gateway_'

const KINDS: Record<string, [ColumnHelper['kind'], parameters: number]> = {
  [`${HELPER_PREFIX}change_column_type`]: ['change type', 4],
  [`${HELPER_PREFIX}rename_column`]: ['rename', 4],
  [`${HELPER_PREFIX}drop_column`]: ['drop', 3],
}

/** Returns the helper that a statement calls, if it does nothing else; undefined otherwise. */
export function columnHelperIn(node: Node): ColumnHelper | undefined {
  if (!('SelectStmt' in node)) return undefined
  const { targetList = [], fromClause } = node.SelectStmt
  const [target] = targetList
  if (targetList.length !== 1 || fromClause || !target || !('ResTarget' in target)) return undefined
  const { val } = target.ResTarget
  if (!val || !('FuncCall' in val)) return undefined
  const { funcname, args = [] } = val.FuncCall
  const known = KINDS[strings(funcname).at(-1) ?? '']
  const texts = args.flatMap((arg) => ('A_Const' in arg ? (arg.A_Const.sval?.sval ?? []) : []))
  if (!known || texts.length !== known[1] || texts.length !== args.length) return undefined
  const [table = '', column = '', to = ''] = texts
  return { kind: known[0], table, column, to: known[0] === 'drop' ? null : to }
}
