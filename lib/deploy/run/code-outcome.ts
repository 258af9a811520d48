import { classOf, type FoundObject, type KnownObject } from '../objects/object.ts'
import type { CodeState } from '../objects/state.ts'
import type { CodeDeployed } from './code-result.ts'

/** An object of a file that ran, or of a file whose ledger row is written again. */
export interface MadeObject {
  object: FoundObject
  isOld: boolean
  hasRun: boolean
}

/** Returns the result of a deploy of the code sections. */
export function resultOf(
  { known, scripts, run, warnings }: CodeState,
  made: MadeObject[],
  dropped: FoundObject[],
): CodeDeployed {
  const ran = made.filter(({ hasRun }) => hasRun)
  const routines = ran.filter(({ object }) => classOf(object.kind) === 'routine')
  const isView = ({ kind }: FoundObject) => kind === 'view' || kind === 'materialized view'
  const isOther = (object: FoundObject) =>
    classOf(object.kind) !== 'routine' && !isView(object) && object.kind !== 'index'
  const described = ({ kind, identity }: FoundObject) => `${kind} ${identity}`
  const identityOf = ({ identity }: FoundObject) => identity
  const objects = ran.map(({ object }) => object)
  const unchanged = [...known]
    .filter(([path]) => scripts.has(path) && !run.has(path))
    .flatMap(([, file]) => file.objects)
  return {
    functionsDeployed: routines.length + countRoutines(unchanged),
    functionsCreated: routines.filter(({ isOld }) => !isOld).map(({ object }) => object.identity),
    functionsReplaced: routines.filter(({ isOld }) => isOld).map(({ object }) => object.identity),
    functionsDropped: dropped.filter(({ kind }) => classOf(kind) === 'routine').map(identityOf),
    viewsChanged: objects.filter(isView).map(identityOf),
    viewsDropped: dropped.filter(isView).map(identityOf),
    othersChanged: objects.filter(isOther).map(described),
    othersDropped: dropped.filter(isOther).map(described),
    warnings,
  }
}

/** Returns how many of the objects are functions, procedures or aggregates. */
export function countRoutines(objects: KnownObject[]): number {
  return objects.filter(({ kind }) => classOf(kind) === 'routine').length
}
