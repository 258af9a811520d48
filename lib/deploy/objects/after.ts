import { sentAhead } from '../../postgres/ahead.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Job } from '../job.ts'
import type { Look } from '../look.ts'
import type { Script } from '../run/run-file.ts'
import { missingNames, type NamesInBodies, nameWarnings, readBodies } from './body-names.ts'
import type { FoundObjects } from './find.ts'
import { findSeen, keepSeen, keyOf, mayBeKnown, type Seen } from './known-after.ts'
import { mayDropOthers } from './lost.ts'
import { type Names, readNames } from './names.ts'
import { classOf } from './object.ts'
import { checkWithExtension, findChecker } from './plpgsql-check.ts'
import { askedOfMade, type CodeState, keysOf, leftoversOf } from './state.ts'
import { type Checked, checkBodies, sendFindAndCheck } from './validate.ts'

/** Objects in the database after all files have run. */
export type After = Pick<Seen, 'found' | 'keys'> & {
  /** Print and version of the catalogs at that time. */
  look?: Look | undefined
}

/** A pending read of the objects after all files have run. */
export interface LookingAfter {
  isThorough: boolean
  finish: () => Promise<After>
}

/**
 * Sends the queries that follow the code. The function that it returns is called if the code
 * succeeded.
 * @param isCodeAlone whether the code changed no table
 */
export type SendBehind = (isCodeAlone: boolean) => () => void

/** Input of the reads and checks that follow the code. */
interface Asking {
  sql: Sql
  scripts: Script[]
  bodies: NamesInBodies
  /** Hash of the files: see `keyOf`. */
  files: string
  look: Job['look']
}

/**
 * Prepares the read of all objects after the files have run, and the check of the bodies that may
 * be affected. The function that it returns sends the queries. If the same files have been deployed
 * to another database, it first asks only for the print of this database: an equal print makes the
 * other queries unnecessary.
 */
export async function prepareAfter(
  sql: Sql,
  state: CodeState,
  isCheckDue: boolean,
  sendBehind: SendBehind,
  look: Job['look'],
): Promise<() => LookingAfter> {
  const isThorough =
    isCheckDue ||
    mayDropOthers(state) ||
    leftoversOf(state).length > 0 ||
    state.drop.size > 0 ||
    addsOverload(state)
  const scripts = [...state.scripts]
    .filter(([path]) => isThorough || state.run.has(path))
    .map(([, script]) => script)
  const files = keyOf(scripts)
  const asking = { sql, scripts, bodies: await readBodies(scripts), files, look }
  return () => {
    const behindIt = sendBehind(makesCodeAlone(state))
    const looking = look && mayBeKnown(files) ? sendShortLook(asking, look) : sendWholeLook(asking)
    const finish = async () => {
      const { warnings, ...after } = await looking()
      behindIt()
      state.warnings.push(...warnings)
      return after
    }
    return { isThorough, finish }
  }
}

/** Asks for the print of the database; reads everything only if no database with it is known. */
function sendShortLook(
  asking: Asking,
  look: NonNullable<Job['look']>,
): () => Promise<Seen & { look?: Look }> {
  const { sql, files, scripts } = asking
  const looking = sentAhead(sql, look(sql))
  return async () => {
    const seen = await looking
    const known = findSeen(files, seen.print, scripts)
    return known ? { ...known, look: seen } : sendWholeLook(asking, seen)()
  }
}

/** @param taken a look that counts, since nothing has changed the catalogs after it */
function sendWholeLook(asking: Asking, taken?: Look): () => Promise<Seen & { look?: Look }> {
  const { sql, scripts, bodies, files, look } = asking
  const made = scripts.flatMap(({ statements }) => statements.flatMap((one) => one.made ?? []))
  const asked = made.map(askedOfMade)
  const reading = sentAhead(
    sql,
    Promise.all([
      readNames(sql, made),
      missingNames(sql, bodies),
      findChecker(sql),
      taken ?? look?.(sql),
    ]),
  )
  const checked = sendFindAndCheck(sql, asked, asked)
  return async () => {
    const { found, isInOrder } = await checked()
    const [names, missing, checker, looked] = await reading
    const seen = await checkAfter(sql, scripts, { found, isInOrder, names, missing, checker })
    if (looked) keepSeen(files, looked.print, seen)
    return { ...seen, ...(looked && { look: looked }) }
  }
}

/** Answers to the queries that follow the code. */
interface Answers {
  found: FoundObjects
  isInOrder: boolean
  names: Names
  missing: NamesInBodies
  checker: string | undefined
}

async function checkAfter(
  sql: Sql,
  scripts: Script[],
  { found, isInOrder, names, missing, checker }: Answers,
): Promise<Seen> {
  const keys = keysOf(
    scripts.flatMap(({ statements }) => statements),
    names,
  )
  const functions = scripts.flatMap((script) =>
    script.statements.flatMap((statement): Checked[] => {
      const object = found.byKey.get(keys.get(statement) ?? '')
      return object ? [{ script, statement, object }] : []
    }),
  )
  if (!isInOrder) await checkBodies(sql, functions)
  const findings =
    checker === undefined ? undefined : await checkWithExtension(sql, checker, functions)
  const named = nameWarnings(missing, findings?.checked ?? new Set())
  return { found, keys, warnings: [...(findings?.warnings ?? []), ...named] }
}

/**
 * Returns whether no statement that runs changes a table and nothing is dropped that one may need.
 */
function makesCodeAlone(state: CodeState): boolean {
  const { scripts, run, drop } = state
  const isCode = [...run].every((path) =>
    scripts.get(path)!.statements.every((statement) => statement.isCode),
  )
  return isCode && drop.size === 0 && leftoversOf(state).length === 0
}

/**
 * Returns whether a new overload of an existing routine is created. Calls in unchanged files may
 * then resolve to it.
 */
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
