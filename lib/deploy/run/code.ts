import type { SchemaArchive } from '../../archive/archive.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Job } from '../job.ts'
import type { Ledger, LedgerObject as StoredObject } from '../ledger/ledger.ts'
import type { LedgerWriter } from '../ledger/writer.ts'
import type { After, SendBehind } from '../objects/after.ts'
import { prepareAfter } from '../objects/after.ts'
import { checkConflicts, codeFailure, sectionOf } from '../objects/failures.ts'
import { checkAllThere, findDropped, findLost } from '../objects/lost.ts'
import type { KnownFile, KnownObject } from '../objects/object.ts'
import type { ResetSession } from '../objects/run.ts'
import { runCode } from '../objects/run.ts'
import type { SetBefore } from '../objects/set-before.ts'
import { ownSettings } from '../objects/settings.ts'
import type { OtherColumns } from '../objects/star-views.ts'
import { dropMaterialized, findOtherColumns } from '../objects/star-views.ts'
import type { CodeState } from '../objects/state.ts'
import { hashOf, leftoversOf, noteSetBefore, readState } from '../objects/state.ts'
import type { TakenOver } from '../objects/taken-over.ts'
import { otherStatements } from '../objects/taken-over.ts'
import type { Statement } from '../parser/statement.ts'
import type { MadeObject } from './code-outcome.ts'
import { countRoutines, resultOf } from './code-outcome.ts'
import { type CodeDeployed, unchangedCode } from './code-result.ts'
import { remadeWarnings, withKeptHint } from './kept-functions.ts'
import { type Ask, parseScripts, type Script } from './run-file.ts'

/** The sections that a deploy replaces. */
export const CODE_SECTIONS = ['functions', 'views', 'triggers', 'policies'] as const

/** Views on views: each round takes the columns of the one before. */
const MAX_ROUNDS = 10

/** What a deploy knows before it turns to the code. */
export interface CodeHints {
  /** The catalogs may not be as the last deploy left them. */
  isCheckDue: boolean
  reset: ResetSession
  /** The state, where it has been asked for already. */
  state?: Promise<CodeState> | undefined
  sendBehind?: SendBehind | undefined
  /** As in TakenOver. */
  since?: TakenOver['since']
  look?: Job['look']
  /** What people had put on objects that migrations have dropped. */
  setBefore?: SetBefore | undefined
  /** Functions that stay, though no file makes them: the ledger goes on to have them. Undefined: they go. */
  kept?: ReadonlyMap<string, StoredObject[]> | undefined
}

/** The files that a deploy of code looks at, and those of them that run whatever there is. */
export interface CodePlan {
  scripts: Map<string, Script>
  known: Map<string, KnownFile>
  toRun: Set<string>
  /** The paths of files that the archive does not have any more. */
  gone: string[]
  /** Nothing has changed. */
  isSame: boolean
  /** Of other sections, where they may have taken something over. */
  others: Statement[]
}

/**
 * Brings functions, views, triggers and policies to what the files say: runs the files that are new
 * or changed, and those whose objects are missing or not as they left them; drops what they no
 * longer make, and what came from files that are gone. The order of the files does not matter. What
 * did not come from a file is left alone.
 * @throws {GatewayError} function_deploy_failed, view_deploy_failed, trigger_deploy_failed,
 *   policy_deploy_failed; data_loss
 */
export async function deployCode(
  sql: Sql,
  writer: LedgerWriter,
  database: string,
  archive: SchemaArchive,
  ledger: Ledger,
  ask: Ask,
  hints: CodeHints,
): Promise<CodeDeployed> {
  const { isCheckDue, reset, since, setBefore, state: asked, look, kept } = hints
  const { sendBehind = () => () => {} } = hints
  const isAlike = isSameCode(archive, ledger)
  if (isAlike && !isCheckDue) return unchangedCode(countRoutines(knownObjects(ledger)))

  try {
    const { scripts, known, toRun, gone, isSame, others } = await planCode(
      archive,
      ledger,
      isCheckDue,
    )
    const taken = { since, statements: others }
    const state = await (asked ?? readState(sql, scripts, known, toRun, isCheckDue, taken))
    noteSetBefore(state, setBefore)
    state.isTakenOver = ledger.isTakenOver
    checkConflicts(database, state)
    if (!isSame || state.run.size > 0) addDescriptions(state)
    const prepare = () => prepareAfter(sql, state, isCheckDue, sendBehind, look)
    const sent =
      state.run.size > 0 || gone.length > 0
        ? await runCode(sql, database, state, reset, ask, prepare)
        : undefined
    const leftovers = leftoversOf(state)
    const { isThorough, finish } = sent ?? (await prepare())()
    let after = await finish()
    const lost = new Set(findDropped(state, after))
    if (isThorough) for (const path of findLost(state, after.found)) lost.add(path)
    const runAgain = async (paths: Set<string>, others: OtherColumns[], why: string) => {
      const nothing = { since: undefined, statements: [] }
      const again = await readState(sql, scripts, state.known, paths, false, nothing)
      again.replacing = new Set(others.map(({ path }) => path))
      dropMaterialized(again, others)
      await runCode(sql, database, again, reset, ask, async () => () => undefined)
      for (const path of again.run) {
        state.run.add(path)
        state.warnings.push(`${path}: ${why}; it has been made again`)
      }
      after = await (await prepare())().finish()
    }
    if (lost.size > 0) {
      await runAgain(lost, [], 'another file dropped what it makes')
      checkAllThere(database, state, after)
    }
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const others = await findOtherColumns(sql, scripts)
      if (others.length === 0) break
      const paths = new Set(others.map(({ path }) => path))
      await runAgain(paths, others, 'what it selects from has other columns now')
    }
    checkConflicts(database, { scripts, keys: after.keys })
    if (kept) state.warnings.push(...remadeWarnings(state, after))
    const objects = write(writer, state, after, isThorough, kept)
    for (const path of gone) writer.forgetFile(...partsOf(path))
    const dropped = leftovers.map(({ object }) => object)
    return { ...resultOf(state, objects, dropped), look: after.look }
  } catch (error) {
    throw kept ? withKeptHint(codeFailure(database, error)) : codeFailure(database, error)
  }
}

function changedIn({ files }: SchemaArchive, known: Map<string, KnownFile>) {
  const all = CODE_SECTIONS.flatMap((section) => files[section])
  const changed = new Set(
    all.filter((file) => known.get(file.path)?.checksum !== file.checksum).map(({ path }) => path),
  )
  const paths = new Set(all.map(({ path }) => path))
  const gone = [...known.keys()].filter((path) => !paths.has(path))
  return { changed, gone, isSame: changed.size === 0 && gone.length === 0 }
}

function isSameCode(archive: SchemaArchive, ledger: Ledger): boolean {
  return changedIn(archive, knownFiles(ledger)).isSame
}

/**
 * Works out what a deploy of code has to do, as far as its files and the ledger tell.
 * @throws {GatewayError} where a file has a statement that no deploy can run
 */
export async function planCode(
  archive: SchemaArchive,
  ledger: Ledger,
  isCheckDue: boolean,
): Promise<CodePlan> {
  const known = knownFiles(ledger)
  const { changed, gone, isSame } = changedIn(archive, known)
  const scripts = await parseAll(archive.files)
  const toRun = new Set([...changed, ...takingColumns(scripts, isCheckDue)])
  const mayLeave = gone.length > 0 || [...changed].some((path) => known.has(path))
  const others = mayLeave ? await otherStatements(archive, ledger) : []
  return { scripts, known, toRun, gone, isSame, others }
}

/** Sends the questions for the state of which `deployCode` makes the next, checking all of it. */
export function sendState(
  sql: Sql,
  { scripts, known, toRun, others }: CodePlan,
  since: CodeHints['since'],
): Promise<CodeState> {
  const taken = { since, statements: others }
  const reading = readState(sql, scripts, known, toRun, true, taken)
  // Whoever waits for it is told.
  reading.catch(() => {})
  return reading
}

/** All that files of code have made, as the ledger has it. */
export function knownObjects(ledger: Ledger): KnownObject[] {
  return [...knownFiles(ledger).values()].flatMap(({ objects }) => objects)
}

/** What the ledger has of the sections of code, by path. */
export function knownFiles(ledger: Ledger): Map<string, KnownFile> {
  return new Map(
    CODE_SECTIONS.flatMap((section) =>
      [...ledger.filesOf(section)].map(([name, { checksum, objects }]): [string, KnownFile] => [
        `${section}/${name}`,
        { checksum, objects: objects as unknown as KnownObject[] },
      ]),
    ),
  )
}

async function parseAll(files: SchemaArchive['files']): Promise<Map<string, Script>> {
  const scripts = await Promise.all(
    CODE_SECTIONS.map((section) => parseScripts(...sectionOf(`${section}/`), files[section])),
  )
  return new Map(scripts.flat().map((script) => [script.file.path, script]))
}

/**
 * Views with `select *` have the columns that their sources had when they were made; functions with
 * such a body, or with `t.c%type`, likewise. They are made again after each change (functions, where
 * tables may have changed), as a new database would have them.
 */
function takingColumns(scripts: Map<string, Script>, isCheckDue: boolean): string[] {
  const isDue = ({ takesColumns, made }: Statement) =>
    takesColumns && made?.replaces && (made.kind === 'view' || isCheckDue)
  return [...scripts].filter(([, { statements }]) => statements.some(isDue)).map(([path]) => path)
}

/** Files of grants and comments alone are about what the others make: they run after any change. */
function addDescriptions({ scripts, run }: CodeState): void {
  for (const [path, { statements }] of scripts) {
    const isDescription = statements.every((statement) => statement.isDescription)
    if (statements.length > 0 && isDescription) run.add(path)
  }
}

/** Notes for the ledger what the files made. */
function write(
  writer: LedgerWriter,
  { scripts, known, keys: keysBefore, found, run }: CodeState,
  { found: foundAfter, keys }: After,
  isThorough: boolean,
  kept: CodeHints['kept'],
): MadeObject[] {
  const all: MadeObject[] = []
  for (const [path, { file, statements }] of scripts) {
    // The first version of the ledger does not tell how what it has was.
    const isOld = known.get(path)?.objects.some(({ digest }) => digest === undefined)
    if (!run.has(path) && !(isThorough && isOld)) continue
    const stored = new Map<string, StoredObject>()
    for (const statement of statements) {
      const key = keys.get(statement)
      const object = key === undefined ? undefined : foundAfter.byKey.get(key)
      if (key === undefined || !object) continue
      const { kind, identity, name, digest } = object
      const settings = ownSettings(object.settings, statement.made?.sets ?? [])
      if (!stored.has(key)) {
        all.push({
          object,
          isOld: found.byKey.has(keysBefore.get(statement)!),
          hasRun: run.has(path),
        })
      }
      const hash = hashOf(statement)
      stored.set(key, { kind, identity, name, digest, settings, statement: hash })
    }
    writer.setFile(partsOf(path)[0], file, [...stored.values(), ...(kept?.get(path) ?? [])])
  }
  return all
}

function partsOf(path: string): [section: (typeof CODE_SECTIONS)[number], name: string] {
  const at = path.indexOf('/')
  return [path.slice(0, at) as (typeof CODE_SECTIONS)[number], path.slice(at + 1)]
}
