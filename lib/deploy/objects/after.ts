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

/** What there is once all has run. */
export type After = Pick<Seen, 'found' | 'keys'> & {
  /** What the catalogs were known by then. */
  look?: Look | undefined
}

/** A look at what there is now that is under way. */
export interface LookingAfter {
  isThorough: boolean
  finish: () => Promise<After>
}

/**
 * Sends what comes behind the code, of which it is told whether that changed no table; what it gives is
 * called where the code went well.
 */
export type SendBehind = (isCodeAlone: boolean) => () => void

/** What is looked at. */
interface Asking {
  sql: Sql
  scripts: Script[]
  bodies: NamesInBodies
  /** Stands for the files. */
  files: string
  look: Job['look']
}

/**
 * Gets ready to look at what there is once all has run, and to check the bodies of what may have
 * changed. What it gives sends the questions. Where the same files have been looked at in another
 * database, the first question is whether this one has become the same, which tells all the others.
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

/** Sends the question whether the database is as another one that was looked at. */
function sendShortLook(
  asking: Asking,
  look: NonNullable<Job['look']>,
): () => Promise<Seen & { look?: Look }> {
  const { sql, files, scripts } = asking
  const looking = look(sql)
  // Whoever waits for it is told.
  looking.catch(() => {})
  return async () => {
    const seen = await looking
    const known = findSeen(files, seen.print, scripts)
    return known ? { ...known, look: seen } : sendWholeLook(asking)()
  }
}

function sendWholeLook(asking: Asking): () => Promise<Seen & { look?: Look }> {
  const { sql, scripts, bodies, files, look } = asking
  const made = scripts.flatMap(({ statements }) => statements.flatMap((one) => one.made ?? []))
  const asked = made.map(askedOfMade)
  const reading = Promise.all([
    readNames(sql, made),
    missingNames(sql, bodies),
    findChecker(sql),
    look?.(sql),
  ])
  // Whoever waits for it is told.
  reading.catch(() => {})
  const checked = sendFindAndCheck(sql, asked, asked)
  return async () => {
    const { found, isInOrder } = await checked()
    const [names, missing, checker, looked] = await reading
    const seen = await checkAfter(sql, scripts, { found, isInOrder, names, missing, checker })
    if (looked) keepSeen(files, looked.print, seen)
    return { ...seen, ...(looked && { look: looked }) }
  }
}

/** What the questions behind the code were answered. */
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

/** No statement that runs changes a table, and nothing is dropped that a table may need. */
function makesCodeAlone(state: CodeState): boolean {
  const { scripts, run, drop } = state
  const isCode = [...run].every((path) =>
    scripts.get(path)!.statements.every((statement) => statement.isCode),
  )
  return isCode && drop.size === 0 && leftoversOf(state).length === 0
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
