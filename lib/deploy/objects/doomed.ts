import type { Sql } from '../../postgres/pools/connection.ts'
import { type Dependant, findDependants, oidKeyOf } from './dependants.ts'
import { type Kept, readKept } from './keep.ts'
import { dropStatement, type FoundObject } from './object.ts'
import { type CodeState, complete, oidKey } from './state.ts'

/** Objects that are dropped before the files run, and what must be restored afterwards. */
export interface Doomed {
  drops: string[]
  /** Owners, grants, comments and labels of the dropped objects, by class and oid. */
  kept: Map<string, Kept>
  /** Parts of tables, which are created again unchanged. */
  parts: Dependant[]
  /** A dependant that prevents the drop, because no file of the archive creates it. */
  blocking: { root: FoundObject; dependant: Dependant } | undefined
}

const NOTHING: Doomed = { drops: [], kept: new Map(), parts: [], blocking: undefined }

/**
 * Finds everything that the drops of `state.drop` take along. Adds the files that created those
 * objects to `state.run`.
 */
export async function findDoomed(sql: Sql, state: CodeState): Promise<Doomed> {
  const roots = [...state.drop.values()]
  if (roots.length === 0) return NOTHING
  const [dependants] = await Promise.all([findDependants(sql, roots), complete(sql, state)])
  state.doomed = new Set(dependants.map(oidKeyOf))
  const pathOf = (one: Dependant) => state.ours.get(oidKeyOf(one))?.path
  const isBlocking = (one: Dependant) =>
    !isPart(one) && pathOf(one) === undefined && !state.drop.has(oidKeyOf(one))
  const blocking = dependants.find(isBlocking)
  if (blocking) {
    return {
      ...NOTHING,
      blocking: { root: await rootOf(sql, roots, blocking), dependant: blocking },
    }
  }
  for (const one of dependants) {
    const path = pathOf(one)
    if (path !== undefined && state.scripts.has(path) && !isPart(one)) state.run.add(path)
  }
  const objects = dependants.flatMap((one) => {
    const key = oidKeyOf(one)
    return state.found.byOid.get(key) ?? state.drop.get(key) ?? []
  })
  const comesFromFile = (one: Dependant) => {
    const path = pathOf(one)
    const isGone = path !== undefined && !state.scripts.has(path)
    return state.drop.has(oidKeyOf(one)) || isGone || (path !== undefined && state.run.has(path))
  }
  return {
    drops: roots.map((root) => dropStatement(root, true)),
    kept: await readKept(sql, objects),
    parts: dependants.filter((one) => isPart(one) && !comesFromFile(one)),
    blocking: undefined,
  }
}

/** Returns whether it is a part of a table that PostgreSQL can create again from its definition. */
function isPart({ restore }: Dependant): boolean {
  return restore !== null
}

async function rootOf(sql: Sql, roots: FoundObject[], blocking: Dependant): Promise<FoundObject> {
  for (const root of roots) {
    const dependants = await findDependants(sql, [root])
    const isThere = dependants.some(
      ({ what, oid }) => what === blocking.what && oid === blocking.oid,
    )
    if (isThere && oidKey(root) !== oidKeyOf(blocking)) return root
  }
  return roots[0]!
}
