import type { SchemaArchive } from '../../archive/archive.ts'
import { CODE_SECTIONS } from '../../archive/sections.ts'
import { sentAhead } from '../../postgres/ahead.ts'
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
import type { Recording } from '../replay/recording.ts'
import type { MadeObject } from './code-outcome.ts'
import { countRoutines, resultOf } from './code-outcome.ts'
import { type CodeDeployed, unchangedCode } from './code-result.ts'
import { remadeWarnings, withKeptHint } from './kept-functions.ts'
import { type Ask, parseScripts, type Script } from './run-file.ts'

/** Maximum number of rounds for views on views; each round passes columns on by one level. */
const MAX_ROUNDS = 10

/** What a deploy knows before it deploys the code sections. */
export interface CodeHints {
  /**
   * Whether the catalogs may have changed since the last deploy, so that all objects must be
   * checked.
   */
  isCheckDue: boolean
  reset: ResetSession
  /** State that was read ahead, if any. */
  state?: Promise<CodeState> | undefined
  sendBehind?: SendBehind | undefined
  /** See `TakenOver.since`. */
  since?: TakenOver['since']
  look?: Job['look']
  recording?: Recording | undefined
  /** Grants, comments and settings of objects that migrations have dropped. */
  setBefore?: SetBefore | undefined
  /**
   * Functions that stay in the database and the ledger although no file creates them. Undefined if
   * they are dropped.
   */
  kept?: ReadonlyMap<string, StoredObject[]> | undefined
}

/** The files of the code sections, and which of them must run whatever the catalogs hold. */
export interface CodePlan {
  scripts: Map<string, Script>
  known: Map<string, KnownFile>
  toRun: Set<string>
  /** Paths of files that the archive no longer has. */
  gone: string[]
  /** Whether all files are as deployed. */
  isSame: boolean
  /** Statements of other sections that may have taken an object over. */
  others: Statement[]
}

/**
 * Brings functions, views, triggers and policies to the state of the files. Runs files that are new
 * or changed, and files whose objects are missing or were changed since. Drops objects that the
 * files no longer create, and objects of files that are gone. Files may be in any order. Objects
 * that did not come from a file are left alone.
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
  const { isCheckDue, reset, since, setBefore, state: asked, look, kept, recording } = hints
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
    state.recording = recording
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
      again.recording = recording
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
 * Plans a deploy of the code sections from the files and the ledger alone.
 * @throws {GatewayError} if a file has a statement that a deploy cannot run
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

/**
 * Sends the queries for the state that `deployCode` needs, ahead of it. All objects are checked.
 */
export function sendState(
  sql: Sql,
  { scripts, known, toRun, others }: CodePlan,
  since: CodeHints['since'],
): Promise<CodeState> {
  const taken = { since, statements: others }
  return sentAhead(sql, readState(sql, scripts, known, toRun, true, taken))
}

/** Returns all objects of the code sections that the ledger records. */
export function knownObjects(ledger: Ledger): KnownObject[] {
  return [...knownFiles(ledger).values()].flatMap(({ objects }) => objects)
}

/** Returns the ledger's files of the code sections, by path. */
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
 * Returns the files that run although they are unchanged, because an object of theirs with OR
 * REPLACE takes its columns from tables: views with `select *`, and functions with such a body or
 * with `t.c%type`. PostgreSQL fixes the columns when the object is created; a new database would
 * have the present ones. Functions run only if tables may have changed.
 */
function takingColumns(scripts: Map<string, Script>, isCheckDue: boolean): string[] {
  const isDue = ({ takesColumns, made }: Statement) =>
    takesColumns && made?.replaces && (made.kind === 'view' || isCheckDue)
  return [...scripts].filter(([, { statements }]) => statements.some(isDue)).map(([path]) => path)
}

/**
 * Adds the files that have only grants and comments. They apply to objects of other files, so they
 * run after any change.
 */
function addDescriptions({ scripts, run }: CodeState): void {
  for (const [path, { statements }] of scripts) {
    const isDescription = statements.every((statement) => statement.isDescription)
    if (statements.length > 0 && isDescription) run.add(path)
  }
}

/** Records the objects that the files created. */
function write(
  writer: LedgerWriter,
  { scripts, known, keys: keysBefore, found, run }: CodeState,
  { found: foundAfter, keys }: After,
  isThorough: boolean,
  kept: CodeHints['kept'],
): MadeObject[] {
  const all: MadeObject[] = []
  for (const [path, { file, statements }] of scripts) {
    // The ledger's first version has no digests; such rows are written again.
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
