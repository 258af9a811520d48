import { GatewayError } from '../../errors.ts'
import type { Statement } from '../parser/statement.ts'
import { sectionOf } from './failures.ts'
import type { FoundObjects } from './find.ts'
import type { CodeState } from './state.ts'

const MAY_DROP = new Set(['DropStmt', 'DoStmt', 'CallStmt', 'SelectStmt'])

/** Whether a file that has run may have dropped what others make. */
export function mayDropOthers({ scripts, run }: CodeState): boolean {
  return [...run].some((path) =>
    scripts.get(path)!.statements.some(({ facts }) => MAY_DROP.has(facts.kind)),
  )
}

/** The files that did not run and of which something is not there any more: another file has dropped it. */
export function findLost({ scripts, known, run }: CodeState, found: FoundObjects): Set<string> {
  const lost = [...known].filter(
    ([path, { objects }]) =>
      scripts.has(path) && !run.has(path) && objects.some((object) => !found.of(object)),
  )
  return new Set(lost.map(([path]) => path))
}

/**
 * Of the files that ran those that made something which another one, behind them, has dropped: a
 * DROP there names it. (What a file drops itself is its own.)
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
 * To be called once what was dropped has been made again.
 * @throws {GatewayError} with the code of the section, where files drop what each other make
 */
export function checkAllThere(
  database: string,
  state: CodeState,
  after: Parameters<typeof findDropped>[1],
): void {
  const [path] = [...findDropped(state, after), ...findLost(state, after.found)]
  if (path === undefined) return
  const [code, what] = sectionOf(path)
  throw new GatewayError(code, `${what} ${path} does not leave what it makes`, {
    database,
    cause: 'another file drops it each time that it is made',
    file: path,
    hint: 'Take the DROP of what this file makes out of the other file',
  })
}
