import { GatewayError } from '../../errors.ts'
import type { Statement } from '../parser/statement.ts'
import { sectionOf } from './failures.ts'
import type { FoundObjects } from './find.ts'
import type { CodeState } from './state.ts'

const MAY_DROP = new Set(['DropStmt', 'DoStmt', 'CallStmt', 'SelectStmt'])

/** Returns whether a file that has run may have dropped objects of other files. */
export function mayDropOthers({ scripts, run }: CodeState): boolean {
  return [...run].some((path) =>
    scripts.get(path)!.statements.some(({ facts }) => MAY_DROP.has(facts.kind)),
  )
}

/** Returns the files that did not run and whose objects another file has dropped. */
export function findLost({ scripts, known, run }: CodeState, found: FoundObjects): Set<string> {
  const lost = [...known].filter(
    ([path, { objects }]) =>
      scripts.has(path) && !run.has(path) && objects.some((object) => !found.of(object)),
  )
  return new Set(lost.map(([path]) => path))
}

/**
 * Returns those of the files that ran whose objects a later file has dropped, with a DROP that
 * names the object. An object that a file drops itself does not count.
 */
export function findDropped(
  { scripts, run }: CodeState,
  { found, keys }: { found: FoundObjects; keys: ReadonlyMap<Statement, string> },
): Set<string> {
  const drops = [...run].flatMap((path) =>
    scripts
      .get(path)!
      .statements.filter(({ facts }) => facts.kind === 'DropStmt')
      .map(({ text }) => ({ path, text: text.toLowerCase() })),
  )
  const isDropped = (path: string, statement: Statement) => {
    const key = keys.get(statement)
    const name = statement.made?.name.toLowerCase()
    if (key === undefined || !name || found.byKey.has(key)) return false
    const naming = drops.filter(({ text }) => hasWord(text, name))
    return naming.length > 0 && naming.every((drop) => drop.path !== path)
  }
  return new Set(
    [...run].filter((path) =>
      scripts.get(path)!.statements.some((statement) => isDropped(path, statement)),
    ),
  )
}

function hasWord(text: string, word: string): boolean {
  return text.split(/[^\p{L}\p{N}_$]+/u).includes(word) || text.includes(`"${word}"`)
}

/**
 * Checks that no object is missing; called after dropped objects have been created again.
 * @throws {GatewayError} with the code of the section, if files drop each other's objects
 */
export function checkAllThere(
  database: string,
  state: CodeState,
  after: Parameters<typeof findDropped>[1],
): void {
  const [path] = [...findDropped(state, after), ...findLost(state, after.found)]
  if (path === undefined) return
  const [code, what] = sectionOf(path)
  throw new GatewayError(code, `${what} ${path}: an object that it creates is missing`, {
    database,
    cause: 'another file drops it each time it is created',
    file: path,
    hint: 'Remove the DROP of this object from the other file',
  })
}
