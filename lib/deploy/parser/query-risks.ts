import type { DeleteStmt, ExplainStmt, MergeStmt, Node, RangeVar } from 'libpg-query'
import { sqlName } from './names.ts'

/** All rows of a table, or all rows that a view shows, may be deleted. */
export interface DeleteRisk {
  kind: 'delete'
  /** Quoted name in the form of to_regclass. */
  relation: string
}

/** A DELETE, or a MERGE that deletes. */
interface Deletion {
  relation: RangeVar
  /** Whether it has no condition that depends on the row. */
  isOfAll: boolean
}

/**
 * Returns DELETE and deleting MERGE statements without a condition, also those in WITH, PREPARE,
 * EXPLAIN ANALYZE and CREATE TABLE AS.
 */
export function risksOfQuery(node: Node): DeleteRisk[] {
  return deletionsIn(node)
    .filter(({ isOfAll }) => isOfAll)
    .map(({ relation }) => ({ kind: 'delete', relation: sqlName(relation) }))
}

/**
 * Returns the names (without schema) of tables and views from which rows are deleted with WHERE.
 */
export function deletesSome(node: Node): string[] {
  return deletionsIn(node).flatMap(({ relation, isOfAll }) =>
    isOfAll ? [] : (relation.relname ?? []),
  )
}

function deletionsIn(node: Node | undefined): Deletion[] {
  if (!node) return []
  if ('PrepareStmt' in node) return deletionsIn(node.PrepareStmt.query)
  if ('CreateTableAsStmt' in node) return deletionsIn(node.CreateTableAsStmt.query)
  if ('ExplainStmt' in node) {
    return isAnalyzing(node.ExplainStmt) ? deletionsIn(node.ExplainStmt.query) : []
  }
  const query =
    ('DeleteStmt' in node && node.DeleteStmt) ||
    ('InsertStmt' in node && node.InsertStmt) ||
    ('UpdateStmt' in node && node.UpdateStmt) ||
    ('MergeStmt' in node && node.MergeStmt) ||
    ('SelectStmt' in node && node.SelectStmt)
  if (!query) return []
  const found = (query.withClause?.ctes ?? []).flatMap((one) =>
    'CommonTableExpr' in one ? deletionsIn(one.CommonTableExpr.ctequery) : [],
  )
  if ('InsertStmt' in node) found.push(...deletionsIn(node.InsertStmt.selectStmt))
  if ('DeleteStmt' in node) found.push(...deletionOf(node.DeleteStmt))
  if ('MergeStmt' in node) found.push(...mergeDeletionOf(node.MergeStmt))
  return found
}

function isAnalyzing({ options = [] }: ExplainStmt): boolean {
  return options.some((one) => 'DefElem' in one && one.DefElem.defname === 'analyze')
}

function deletionOf({ relation, whereClause }: DeleteStmt): Deletion[] {
  return relation ? [{ relation, isOfAll: isAlways(whereClause) }] : []
}

/**
 * Returns the deletion of a MERGE. A clause without a condition of its own may delete all rows if
 * it is NOT MATCHED BY SOURCE, or if the join condition is always true.
 */
function mergeDeletionOf({ relation, mergeWhenClauses = [], joinCondition }: MergeStmt) {
  const clauses = mergeWhenClauses.flatMap((one) =>
    'MergeWhenClause' in one && one.MergeWhenClause.commandType === 'CMD_DELETE'
      ? [one.MergeWhenClause]
      : [],
  )
  if (!relation || clauses.length === 0) return []
  const isOfAll = clauses.some(({ matchKind, condition }) => {
    if (!isAlways(condition)) return false
    return matchKind === 'MERGE_WHEN_NOT_MATCHED_BY_SOURCE' || isAlways(joinCondition)
  })
  return [{ relation, isOfAll }]
}

/** Returns whether a condition is the same for every row: `true`, `1 = 1`. */
export function isAlways(where: Node | undefined): boolean {
  if (where === undefined) return true
  if ('A_Const' in where) return where.A_Const.boolval?.boolval === true
  return !VARIES.test(JSON.stringify(where))
}

/** Nodes in a condition whose value may differ between rows or over time. */
const VARIES = /"(?:ColumnRef|FuncCall|SubLink|ParamRef|SQLValueFunction|CurrentOfExpr)"/
