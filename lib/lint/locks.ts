import type { AlterTableStmt, Node, RangeVar } from 'libpg-query'
import { sqlName } from '../deploy/parser/names.ts'
import { optionsOf } from '../deploy/parser/options.ts'
import { isAlways } from '../deploy/parser/query-risks.ts'
import { ALONE, lockOfPart } from './alter-table.ts'
import type { Said } from './finding.ts'

/**
 * Returns the locks that a statement holds for as long as its table is large (PostgreSQL manual,
 * "Explicit Locking", and the pages of the statements).
 * @param isNew whether the file makes the relation (its name as SQL names it)
 */
export function locksOf(node: Node, isNew: (relation: string) => boolean): Said[] {
  if ('AlterTableStmt' in node) return locksOfAlter(node.AlterTableStmt, isNew)
  const [relation, lock] = lockOfStatement(node) ?? []
  return lock && !(relation && isNew(sqlName(relation))) ? [{ rule: 'long-lock', ...lock }] : []
}

type Parts = Pick<Said, 'message' | 'advice'>

function lockOfStatement(node: Node): [RangeVar | undefined, Parts] | undefined {
  if ('IndexStmt' in node && !node.IndexStmt.concurrent) {
    const { relation, unique } = node.IndexStmt
    const what = `create ${unique ? 'unique ' : ''}index concurrently`
    return [
      relation,
      {
        message: `Blocks writes to ${named(relation)} until the index is built`,
        advice: `Write "${what} …" ${ALONE}`,
      },
    ]
  }
  if ('ReindexStmt' in node && !optionsOf(node.ReindexStmt.params).has('concurrently')) {
    return [
      node.ReindexStmt.relation,
      {
        message: 'Blocks writes, and reads by the index, until it is built anew',
        advice: `Write "reindex … concurrently" ${ALONE}`,
      },
    ]
  }
  if ('RefreshMatViewStmt' in node && !node.RefreshMatViewStmt.concurrent) {
    const { relation } = node.RefreshMatViewStmt
    return [
      relation,
      {
        message: `Blocks reads of ${named(relation)} until its query is done`,
        advice: 'Give it a unique index, and write "refresh materialized view concurrently"',
      },
    ]
  }
  if ('ClusterStmt' in node) return [node.ClusterStmt.relation, rewrites('CLUSTER')]
  if ('VacuumStmt' in node && optionsOf(node.VacuumStmt.options).has('full')) {
    return [undefined, rewrites('VACUUM FULL')]
  }
  if ('LockStmt' in node) {
    const [first] = node.LockStmt.relations ?? []
    return [
      first && 'RangeVar' in first ? first.RangeVar : undefined,
      {
        message: 'Holds its lock until the deploy ends',
        advice: 'Leave LOCK out: each statement takes the lock that it needs',
      },
    ]
  }
  if ('UpdateStmt' in node && isAlways(node.UpdateStmt.whereClause)) {
    const { relation } = node.UpdateStmt
    return [
      relation,
      {
        message: `Writes every row of ${named(relation)}, and holds their locks until the deploy ends`,
        advice: `Update some thousand rows at a time by a condition, ${ALONE}`,
      },
    ]
  }
  return undefined
}

function locksOfAlter(
  { relation, cmds = [], objtype }: AlterTableStmt,
  isNew: (relation: string) => boolean,
): Said[] {
  if (objtype !== 'OBJECT_TABLE' || !relation || isNew(sqlName(relation))) return []
  return cmds.flatMap((cmd) =>
    'AlterTableCmd' in cmd ? lockOfPart(named(relation), cmd.AlterTableCmd) : [],
  )
}

function rewrites(what: string): Parts {
  return {
    message: `${what} blocks reads and writes until the table is written anew`,
    advice: 'Leave it to autovacuum, or to pg_repack outside of a deploy',
  }
}

function named(relation: RangeVar | undefined): string {
  return relation ? sqlName(relation).replaceAll('"', '') : 'the table'
}
