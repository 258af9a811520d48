import { createHash } from 'node:crypto'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Made } from '../parser/makes.ts'
import type { Statement } from '../parser/statement.ts'
import type { Recording } from '../replay/recording.ts'
import type { Script } from '../run/run-file.ts'
import { askedOf, type FoundObjects, findObjects, type SoughtObject } from './find.ts'
import { keyOfMade, type Names, readNames } from './names.ts'
import type { KnownFile } from './object.ts'
import {
  canReplace,
  classOf,
  type FoundObject,
  isKept,
  isOnTable,
  type KnownObject,
} from './object.ts'
import type { SetBefore } from './set-before.ts'
import { type TakenOver, withoutTakenOver } from './taken-over.ts'

/** What a deploy of functions, views, triggers and policies has to do. Keys of files are paths. */
export interface CodeState {
  scripts: Map<string, Script>
  known: Map<string, KnownFile>
  /** Key of the object that each statement creates. */
  keys: Map<Statement, string>
  /** Existing objects before the code runs, of the files that run and of those that are gone. */
  found: FoundObjects
  /** Files to run. */
  run: Set<string>
  /**
   * Existing objects that the ledger records, with the file that created each; by class and oid.
   */
  ours: Map<string, { path: string; object: KnownObject }>
  /** `found` covers all files and the whole ledger. */
  isComplete: boolean
  /** Unchanged files in `run` whose views gain columns: their CREATE VIEW gets OR REPLACE. */
  replacing: Set<string>
  /** Objects to drop before the files run, by class and oid. */
  drop: Map<string, FoundObject>
  /** Keys of all objects that those drops take along. */
  doomed: Set<string>
  warnings: string[]
  /** Properties set by hand on objects that migrations have dropped. */
  setBefore?: SetBefore | undefined
  /** An original gateway created the functions from files; they may be replaced as well. */
  isTakenOver?: boolean
  /** What runs, for replays in other databases. */
  recording?: Recording | undefined
}

/**
 * Reads the existing objects. With `isCheckDue`, it looks for every object in the ledger, and adds
 * files to `run` if one of their objects is missing or differs from what the file created.
 */
export async function readState(
  sql: Sql,
  scripts: Map<string, Script>,
  known: Map<string, KnownFile>,
  changed: Set<string>,
  isCheckDue: boolean,
  taken: TakenOver,
): Promise<CodeState> {
  const statements = [...scripts.values()].flatMap((script) => script.statements)
  const all = [...statements, ...taken.statements].flatMap(({ made }) => made ?? [])
  const isAsked = (path: string) => isCheckDue || changed.has(path) || !scripts.has(path)
  const [names, found] = await Promise.all([
    readNames(sql, all),
    findObjects(
      sql,
      askedFor(scripts, known, isAsked, (path) => isCheckDue && !changed.has(path)),
    ),
  ])
  const keys = keysOf(statements, names)
  const others = new Set(keysOf(taken.statements, names).values())
  // An unchanged file still creates its objects, even if it runs again.
  const mayLeave = (path: string) => known.get(path)?.checksum !== scripts.get(path)?.file.checksum
  const made = new Set(keys.values())
  const left = withoutTakenOver(known, found, mayLeave, taken.since, made, others)
  const state: CodeState = {
    scripts,
    known: left.known,
    keys,
    found,
    ours: oursOf(left.known, found),
    isComplete: isCheckDue,
    run: new Set(changed),
    replacing: new Set(),
    drop: new Map(),
    doomed: new Set(),
    warnings: left.warnings,
  }
  if (isCheckDue) checkKnown(state)
  return state
}

export function keysOf(statements: Statement[], names: Names): Map<Statement, string> {
  const keys = new Map<Statement, string>()
  for (const statement of statements) {
    if (statement.made) keys.set(statement, keyOfMade(statement.made, names))
  }
  return keys
}

/** Reads all objects of files and ledger, unless that has been done. */
export async function complete(sql: Sql, state: CodeState): Promise<void> {
  if (state.isComplete) return
  state.found = await findObjects(
    sql,
    askedFor(state.scripts, state.known, () => true),
  )
  state.ours = oursOf(state.known, state.found)
  state.isComplete = true
}

function oursOf(known: Map<string, KnownFile>, found: FoundObjects): CodeState['ours'] {
  const ours: CodeState['ours'] = new Map()
  for (const [path, { objects }] of known) {
    for (const one of objects) {
      const object = found.of(one)
      if (object) ours.set(oidKey(object), { path, object: one })
    }
  }
  return ours
}

function askedFor(
  scripts: Map<string, Script>,
  known: Map<string, KnownFile>,
  isAsked: (path: string) => boolean,
  isCompared: (path: string) => boolean = () => false,
): SoughtObject[] {
  const made = [...scripts].flatMap(([path, { statements }]) =>
    isAsked(path) ? statements.flatMap((statement) => statement.made ?? []) : [],
  )
  const objects = [...known].flatMap(([path, file]) =>
    isAsked(path) ? file.objects.map((one) => ({ ...askedOf(one), whole: isCompared(path) })) : [],
  )
  return [...made.map(askedOfMade), ...objects]
}

/** Returns class and name of the object that a statement creates. */
export function askedOfMade({ kind, name }: Made): SoughtObject {
  return { class: classOf(kind), name }
}

function checkKnown({ scripts, known, found, run, warnings }: CodeState): void {
  for (const [path, file] of known) {
    if (!scripts.has(path) || run.has(path)) continue
    for (const object of file.objects) {
      const current = found.of(object)
      const isAsLeft = !object.digest || current?.digest === object.digest
      if (current && isAsLeft) continue
      run.add(path)
      warnings.push(
        current ? againWarning(path, object, CHANGED) : againWarning(path, object, GONE),
      )
    }
  }
}

const CHANGED = 'is not as the file left it'
const GONE = 'is gone'

function againWarning(path: string, { kind, identity }: KnownObject, what: string): string {
  return `${path}: ${kind} ${identity} ${what}; it has been made again`
}

/**
 * Records the objects that existed before the migrations ran, and removes the warnings that they
 * are gone: the migrations dropped them, or the deploy did so for the migrations.
 */
export function noteSetBefore(state: CodeState, setBefore: SetBefore | undefined): void {
  state.setBefore = setBefore
  if (!setBefore) return
  const nameOf = ({ kind, identity }: KnownObject) => `${kind} ${identity}`
  const before = new Set([...setBefore.values()].map(({ known }) => nameOf(known)))
  const expected = new Set(
    [...state.known].flatMap(([path, { objects }]) =>
      objects.flatMap((one) => (before.has(nameOf(one)) ? againWarning(path, one, GONE) : [])),
    ),
  )
  state.warnings = state.warnings.filter((warning) => !expected.has(warning))
}

/** Adds the objects that PostgreSQL cannot replace to the drops: those without OR REPLACE. */
export function planDrops(state: CodeState): void {
  for (const path of state.run) {
    for (const statement of state.scripts.get(path)?.statements ?? []) {
      const { made } = statement
      const there = made && state.found.byKey.get(state.keys.get(statement)!)
      if (!there || (canReplace(made) && !isDroppedByFile(state, path, made))) continue
      if (isReplacing(state, path, made)) continue
      if (isInPlace(state, path, statement)) continue
      if (mayDrop(state, there)) addDrop(state, there)
    }
  }
}

/** Returns whether a CREATE VIEW runs as CREATE OR REPLACE VIEW. */
export function isReplacing({ replacing }: CodeState, path: string, made: Made): boolean {
  return made.kind === 'view' && !made.replaces && replacing.has(path)
}

/**
 * Returns whether the file itself drops the object with CASCADE. That would also drop objects of
 * other files, and nothing would create them again.
 */
function isDroppedByFile({ scripts }: CodeState, path: string, { name }: Made): boolean {
  return scripts.get(path)!.statements.some(({ facts, text }) => {
    const isCascade = facts.kind === 'DropStmt' && /\bcascade\b/i.test(text)
    return isCascade && text.toLowerCase().includes(name.toLowerCase())
  })
}

export function addDrop(state: CodeState, object: FoundObject): boolean {
  const key = oidKey(object)
  if (state.drop.has(key)) return false
  state.drop.set(key, object)
  return true
}

export function oidKey({ kind, oid }: FoundObject): string {
  return `${classOf(kind)} ${oid}`
}

/**
 * Returns whether the deploy may drop an object: only if a file created it. Exceptions are
 * triggers, policies and rules, which hold no data: a file that declares one takes it over from a
 * migration.
 */
export function mayDrop(state: CodeState, object: FoundObject): boolean {
  if (state.isTakenOver && classOf(object.kind) === 'routine') return true
  return isOnTable(object.kind) || state.ours.has(oidKey(object))
}

/**
 * Returns whether an object that cannot be replaced stays because its statement is unchanged: a
 * type that tables use, a materialized view with its rows.
 */
export function isInPlace(state: CodeState, path: string, statement: Statement): boolean {
  const { made } = statement
  if (!made) return isIndexInPlace(state, path, statement)
  // The object that this statement renames has just been created again.
  if (!isKept(made.kind) || statement.facts.rename) return false
  const there = state.found.byKey.get(state.keys.get(statement)!)
  if (!there || state.drop.has(oidKey(there)) || state.doomed.has(oidKey(there))) return false
  const before = state.ours.get(oidKey(there))?.object
  const isSame = before?.statement === hashOf(statement) && before.digest === there.digest
  return isSame && !hasNewIndex(state, path, made)
}

/** An index without a name stays together with its materialized view. */
function isIndexInPlace(state: CodeState, path: string, { unnamedIndexOn }: Statement): boolean {
  if (unnamedIndexOn === undefined) return false
  const { statements } = state.scripts.get(path)!
  const view = statements.find(({ view }) => view === unnamedIndexOn)
  return view !== undefined && isInPlace(state, path, view)
}

/**
 * A changed file with unnamed indexes has its materialized view created again, because its old
 * indexes cannot be told from others.
 */
function hasNewIndex({ scripts, known }: CodeState, path: string, made: Made): boolean {
  if (made.kind !== 'materialized view') return false
  const { file, statements } = scripts.get(path)!
  const hasUnnamed = statements.some(({ unnamedIndexOn }) => unnamedIndexOn !== undefined)
  return hasUnnamed && known.get(path)?.checksum !== file.checksum
}

export function hashOf({ text }: Statement): string {
  return createHash('sha256').update(text.trim()).digest('hex')
}

/** An object that a file created and that no file creates any more. */
export interface Leftover {
  object: FoundObject
  path: string
}

/**
 * Returns the objects that files created before and none creates any more. Files that neither run
 * nor are gone are skipped.
 */
export function leftoversOf(state: CodeState): Leftover[] {
  const made = new Set(state.keys.values())
  const kept = new Set([...made].flatMap((key) => state.found.byKey.get(key) ?? []))
  const seen = new Set<FoundObject>()
  return [...state.known].flatMap(([path, { objects }]) => {
    if (state.scripts.has(path) && !state.run.has(path)) return []
    return objects.flatMap((one) => {
      const object = state.found.of(one)
      if (!object || kept.has(object) || seen.has(object)) return []
      seen.add(object)
      return [{ object, path }]
    })
  })
}
