import type { Found } from './find.ts'
import type { CodeState } from './state.ts'

const MAY_DROP = new Set(['DropStmt', 'DoStmt', 'CallStmt', 'SelectStmt'])

/** Whether a file that has run may have dropped what others make. */
export function mayDropOthers({ scripts, run }: CodeState): boolean {
  return [...run].some((path) =>
    scripts.get(path)!.statements.some(({ facts }) => MAY_DROP.has(facts.kind)),
  )
}

/** The files that did not run and of which something is not there any more: another file has dropped it. */
export function findLost({ scripts, known, run }: CodeState, found: Found): Set<string> {
  const lost = [...known].filter(
    ([path, { objects }]) =>
      scripts.has(path) && !run.has(path) && objects.some((object) => !found.of(object)),
  )
  return new Set(lost.map(([path]) => path))
}
