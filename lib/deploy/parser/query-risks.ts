import type { MergeStmt, Node } from 'libpg-query'
import { sqlName } from './names.ts'

/** All rows of a table, or of what a view shows, may be deleted. */
export interface DeleteRisk {
  kind: 'delete'
  /** As SQL names it, for to_regclass. */
  relation: string
}

/** DELETE without a condition, and MERGE that deletes without one; in WITH too. */
export function risksOfQuery(node: Node): DeleteRisk[] {
  const query =
    ('DeleteStmt' in node && node.DeleteStmt) ||
    ('InsertStmt' in node && node.InsertStmt) ||
    ('UpdateStmt' in node && node.UpdateStmt) ||
    ('MergeStmt' in node && node.MergeStmt) ||
    ('SelectStmt' in node && node.SelectStmt)
  if (!query) return []
  const risks = (query.withClause?.ctes ?? []).flatMap((one) =>
    'CommonTableExpr' in one && one.CommonTableExpr.ctequery
      ? risksOfQuery(one.CommonTableExpr.ctequery)
      : [],
  )
  if ('DeleteStmt' in node) {
    const { relation, whereClause } = node.DeleteStmt
    if (relation && isAlways(whereClause)) {
      risks.push({ kind: 'delete', relation: sqlName(relation) })
    }
  }
  if ('MergeStmt' in node) {
    const { relation } = node.MergeStmt
    if (relation && deletesAlways(node.MergeStmt)) {
      risks.push({ kind: 'delete', relation: sqlName(relation) })
    }
  }
  return risks
}

/**
 * Whether a clause that has no condition of its own deletes: rows that the source lacks, or those
 * that match where all of them do.
 */
function deletesAlways({ mergeWhenClauses = [], joinCondition }: MergeStmt): boolean {
  return mergeWhenClauses.some((one) => {
    if (!('MergeWhenClause' in one)) return false
    const { commandType, matchKind, condition } = one.MergeWhenClause
    if (commandType !== 'CMD_DELETE' || !isAlways(condition)) return false
    return matchKind === 'MERGE_WHEN_NOT_MATCHED_BY_SOURCE' || isAlways(joinCondition)
  })
}

function isAlways(where: Node | undefined): boolean {
  if (where === undefined) return true
  return 'A_Const' in where && where.A_Const.boolval?.boolval === true
}
