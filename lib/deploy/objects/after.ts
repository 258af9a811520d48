import type { Sql } from '../../postgres/connection.ts'
import type { Statement } from '../parser/statement.ts'
import type { Script } from '../run-file.ts'
import { missingNames, type NamesInBodies, nameWarnings, readBodies } from './body-names.ts'
import type { Found } from './find.ts'
import { mayDropOthers } from './lost.ts'
import { type Names, readNames } from './names.ts'
import { classOf } from './object.ts'
import { checkWithExtension, findChecker } from './plpgsql-check.ts'
import { askedOfMade, type CodeState, keysOf, leftoversOf } from './state.ts'
import { type Checked, checkBodies, sendFindAndCheck } from './validate.ts'

/** What there is once all has run. */
export interface After {
  found: Found
  /** What statements make: by now all types have their oids. */
  keys: Map<Statement, string>
}

/** A look at what there is now that is under way. */
export interface LookingAfter {
  isThorough: boolean
  finish: () => Promise<After>
}

/**
 * Gets ready to look at what there is once all has run, and to check the bodies of what may have
 * changed. What it gives sends the questions.
 */
export async function prepareAfter(
  sql: Sql,
  state: CodeState,
  isCheckDue: boolean,
  sendBehind: () => () => void,
): Promise<() => LookingAfter> {
  const isThorough =
    isCheckDue ||
    mayDropOthers(state) ||
    leftoversOf(state).length > 0 ||
    state.drop.size > 0 ||
    addsOverload(state)
  const toLookAt = [...state.scripts].filter(([path]) => isThorough || state.run.has(path))
  const statements = toLookAt.flatMap(([, script]) => script.statements)
  const made = statements.flatMap((statement) => statement.made ?? [])
  const asked = made.map(askedOfMade)
  const bodies = await readBodies(toLookAt.map(([, script]) => script))
  return () => {
    const behindIt = sendBehind()
    const reading = Promise.all([readNames(sql, made), missingNames(sql, bodies), findChecker(sql)])
    // Whoever waits for it is told.
    reading.catch(() => {})
    const checked = sendFindAndCheck(sql, asked, asked)
    const finish = async () => {
      const { found, isInOrder } = await checked()
      const [names, missing, checker] = await reading
      behindIt()
      return checkAfter(sql, state, toLookAt, { found, isInOrder, names, missing, checker })
    }
    return { isThorough, finish }
  }
}

/** What the questions behind the code were answered. */
interface Answers {
  found: Found
  isInOrder: boolean
  names: Names
  missing: NamesInBodies
  checker: string | undefined
}

async function checkAfter(
  sql: Sql,
  state: CodeState,
  toLookAt: [string, Script][],
  { found, isInOrder, names, missing, checker }: Answers,
): Promise<After> {
  const statements = toLookAt.flatMap(([, script]) => script.statements)
  const keys = keysOf(statements, names)
  const functions = toLookAt.flatMap(([, script]) =>
    script.statements.flatMap((statement): Checked[] => {
      const object = found.byKey.get(keys.get(statement) ?? '')
      return object ? [{ script, statement, object }] : []
    }),
  )
  if (!isInOrder) await checkBodies(sql, functions)
  const findings =
    checker === undefined ? undefined : await checkWithExtension(sql, checker, functions)
  const named = nameWarnings(missing, findings?.checked ?? new Set())
  state.warnings.push(...(findings?.warnings ?? []), ...named)
  return { found, keys }
}

/** Calls that stand in unchanged files may mean another function now. */
function addsOverload({ scripts, run, keys, found }: CodeState): boolean {
  const names = new Set([...found.byKey.values()].map(({ name }) => name))
  return [...run].some((path) =>
    scripts.get(path)!.statements.some((statement) => {
      const { made } = statement
      const isNew = made && !found.byKey.has(keys.get(statement)!)
      return isNew && classOf(made.kind) === 'routine' && names.has(made.name)
    }),
  )
}
