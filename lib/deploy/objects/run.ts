import type { SchemaFile } from '../../archive/archive.ts'
import { answers, type Sent, send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { asStatementError, isEndOfSession, StatementError } from '../failure.ts'
import type { Statement } from '../parser/statement.ts'
import { type Ask, askAbout, type Script, sendScript } from '../run/run-file.ts'
import type { Doomed } from './doomed.ts'
import { findDoomed } from './doomed.ts'
import { byKind } from './drop-order.ts'
import { asObjectError, blockedError, ObjectError } from './failures.ts'
import { keepStatements } from './keep.ts'
import { dropStatement } from './object.ts'
import { inOrder } from './order.ts'
import { putBack } from './set-before.ts'
import { settingStatements } from './settings.ts'
import { sendReplacing } from './star-views.ts'
import {
  addDrop,
  type CodeState,
  isInPlace,
  isReplacing,
  type Leftover,
  leftoversOf,
  mayDrop,
  oidKey,
  planDrops,
} from './state.ts'

/** The statement refers to an object that a later file may create. */
const NOT_THERE_YET = new Set(['42883', '42704', '42P01', '42703'])

/**
 * The object exists and PostgreSQL cannot replace it: another return type, other parameter names or
 * columns, or a statement without OR REPLACE.
 */
const CANNOT_REPLACE = new Set(['42P13', '42P16', '42723', '42P07', '42809', '42710'])

const DEPENDENT_OBJECTS_STILL_EXIST = '2BP01'
const AMBIGUOUS_FUNCTION = '42725'

/**
 * Sends the statements that restore the session for a file; called after files that may change it.
 */
export type ResetSession = (file: SchemaFile) => Sent

/**
 * Runs the files of `state.run` and drops the objects that they no longer create. The first attempt
 * sends everything at once; it nearly always succeeds. After a failure, objects that cannot be
 * replaced are dropped first, with their dependants, and the files that created those are run too;
 * this repeats until all files succeed.
 * @param prepare returns the function that sends the queries to follow, in the same batch
 * @returns the result of that function; undefined if the queries were not sent
 * @throws {StatementError} @throws {ObjectError}
 * @throws {GatewayError} if a dependant prevents a drop because no file creates it
 */
export async function runCode<T>(
  sql: Sql,
  database: string,
  state: CodeState,
  reset: ResetSession,
  ask: Ask,
  prepare: () => Promise<() => T>,
): Promise<T | undefined> {
  const asked = new Set<string>()
  let replaced = 0
  let isOneByOne = false
  for (;;) {
    planDrops(state)
    const doomed = await findDoomed(sql, state)
    if (doomed.blocking) {
      throw blockedError(database, state, doomed.blocking.root, doomed.blocking.dependant)
    }
    // The added files may create further objects that have no OR REPLACE.
    const before = state.drop.size
    planDrops(state)
    if (state.drop.size > before) continue
    for (const path of [...state.run].filter((path) => !asked.has(path))) {
      asked.add(path)
      await askAbout([state.scripts.get(path)!], ask)
    }
    try {
      if (!isOneByOne) return await runAtOnce(sql, state, doomed, reset, await prepare())
      await runOneByOne(sql, state, doomed, reset)
      return undefined
    } catch (error) {
      if (isEndOfSession(error)) throw error
      state.recording?.spoil()
      await sql.unsafe('rollback to savepoint code; release savepoint code')
      const errors = error instanceof AggregateError ? error.errors : [error]
      const wasAdded = errors.map((one) => addWhatIsInTheWay(state, one)).includes(true)
      if (wasAdded) {
        // Running the files one by one collects all conflicts at once.
        if (++replaced > 1) isOneByOne = true
      } else if (!isOneByOne && errors.some((one) => codeOf(one, NOT_THERE_YET))) {
        isOneByOne = true
      } else {
        throw errors.find((one) => !codeOf(one, NOT_THERE_YET)) ?? errors[0]
      }
    }
  }
}

/** @returns whether the next attempt will drop something more */
function addWhatIsInTheWay(state: CodeState, error: unknown): boolean {
  const addLeftovers = () =>
    leftoversOf(state)
      .map(({ object }) => addDrop(state, object))
      .includes(true)
  if (error instanceof ObjectError) {
    return error.error.code === DEPENDENT_OBJECTS_STILL_EXIST && addLeftovers()
  }
  if (!(error instanceof StatementError)) return false
  const { code } = error.error
  const drop = (statement: Statement | null): boolean => {
    const key = statement === null ? undefined : state.keys.get(statement)
    const object = key === undefined ? undefined : state.found.byKey.get(key)
    return object !== undefined && mayDrop(state, object) && addDrop(state, object)
  }
  if (CANNOT_REPLACE.has(code)) return drop(error.statement) || addLeftovers()
  if (code === AMBIGUOUS_FUNCTION) return addLeftovers()
  if (code !== DEPENDENT_OBJECTS_STILL_EXIST) return false
  // The error came from a DROP in the file itself.
  const { statements } = state.scripts.get(error.file.path) ?? { statements: [] }
  return statements.map(drop).includes(true) || addLeftovers()
}

function codeOf(error: unknown, codes: Set<string>): boolean {
  return error instanceof StatementError && codes.has(error.error.code)
}

async function runAtOnce<T>(
  sql: Sql,
  state: CodeState,
  doomed: Doomed,
  reset: ResetSession,
  sendBehind: () => T,
): Promise<T> {
  const sent = [
    ...opening(sql, doomed),
    ...filesOf(state).flatMap((script) => sendFile(sql, state, doomed, script, reset)),
    ...ending(sql, state, doomed),
  ]
  const behind = sendBehind()
  await answers(sent)
  return behind
}

/**
 * Runs each file under a savepoint, and the failed ones again, until a round has no success.
 * @throws {AggregateError} with the errors of all files that still fail
 */
async function runOneByOne(
  sql: Sql,
  state: CodeState,
  doomed: Doomed,
  reset: ResetSession,
): Promise<void> {
  await answers(opening(sql, doomed))
  let pending = filesOf(state)
  while (pending.length > 0) {
    const stuck: Script[] = []
    const errors: unknown[] = []
    for (const script of pending) {
      try {
        await answers([
          send(sql.unsafe('savepoint one_file')),
          ...sendFile(sql, state, doomed, script, reset),
          send(sql.unsafe('release savepoint one_file')),
        ])
      } catch (error) {
        if (!(error instanceof StatementError) || isEndOfSession(error)) throw error
        await sql.unsafe('rollback to savepoint one_file; release savepoint one_file')
        stuck.push(script)
        errors.push(error)
      }
    }
    if (stuck.length === pending.length) throw new AggregateError(errors)
    pending = stuck
  }
  await answers(ending(sql, state, doomed))
}

function filesOf({ run, scripts }: CodeState): Script[] {
  return inOrder([...scripts].filter(([path]) => run.has(path)).map(([, script]) => script))
}

/** Bodies are checked at the end, when all objects exist. */
const BODIES_OFF = 'set local check_function_bodies = off'

function opening(sql: Sql, { drops }: Doomed): Sent[] {
  return [
    send(sql.unsafe(`savepoint code; ${BODIES_OFF}`)),
    ...(drops.length > 0 ? [send(sql.unsafe(drops.join('; ')))] : []),
  ]
}

/**
 * Sends a file. Each statement is followed by those that restore its object's earlier properties.
 */
function sendFile(
  sql: Sql,
  state: CodeState,
  doomed: Doomed,
  script: Script,
  reset: ResetSession,
): Sent[] {
  const { file, statements } = script
  const sent = statements.flatMap((statement) => {
    if (isInPlace(state, file.path, statement)) return []
    const { made } = statement
    const isWidened = made && isReplacing(state, file.path, made)
    const [first] = isWidened
      ? [sendReplacing(sql, script, statement)]
      : sendScript(sql, { file, statements: [statement] })
    const behind = whatWasOn(state, doomed, statement)
    if (isWidened) state.recording?.spoil()
    for (const text of [statement.text, ...behind]) state.recording?.run(text)
    return [
      first!,
      ...behind.map((text) =>
        send(sql.unsafe(text)).catch((error) => {
          throw asStatementError(file, statement, withoutPosition(error))
        }),
      ),
    ]
  })
  const isPlain = statements.every(
    ({ isCode, isDescription, made }) => isCode || isDescription || made,
  )
  if (isPlain) return sent
  return [...sent, reset(file), send(sql.unsafe(BODIES_OFF))]
}

function withoutPosition(error: unknown): unknown {
  if (typeof error === 'object' && error !== null && 'position' in error) error.position = ''
  return error
}

function whatWasOn(state: CodeState, { kept }: Doomed, statement: Statement): string[] {
  const { made } = statement
  if (!made) return []
  const key = state.keys.get(statement)!
  const object = state.found.byKey.get(key)
  if (!object) {
    const gone = state.setBefore?.get(key)
    return gone ? putBack(gone, made) : []
  }
  const now = { ...object, kind: made.kind }
  const before = state.ours.get(oidKey(object))?.object
  const settings = settingStatements(now, before?.settings, made.sets)
  const notes = kept.get(oidKey(object))
  return notes ? [...settings, ...keepStatements(now, notes)] : settings
}

/** Drops leftover objects and restores parts of tables. */
function ending(sql: Sql, state: CodeState, { parts }: Doomed): Sent[] {
  const left = leftoversOf(state).filter(({ object }) => !state.drop.has(oidKey(object)))
  if (left.length + parts.length + state.drop.size > 0) state.recording?.spoil()
  return [
    ...left.toSorted(byKind).map(({ object, path }) =>
      send(sql.unsafe(dropStatement(object))).catch((error) => {
        const what = `${object.kind} ${object.identity} cannot be dropped`
        throw asObjectError(path, what.charAt(0).toUpperCase() + what.slice(1), error)
      }),
    ),
    ...parts.map(({ description, restore }) =>
      send(sql.unsafe(restore!)).catch((error) => {
        const gone = goneFor(state, restore!)
        if (!gone) throw asObjectError([...state.run][0] ?? '', `${description} failed`, error)
        const { path, object } = gone
        const what = `${description} needs ${object.identity}, which the archive no longer creates`
        const hint = `Keep ${object.kind} ${object.identity} (from ${path}), or change ${description} in a migration`
        throw asObjectError(path, what, error, hint)
      }),
    ),
    send(sql.unsafe('release savepoint code')),
  ]
}

/**
 * Returns the dropped object that a statement needs. It is found by name, since PostgreSQL's error
 * does not identify it.
 */
function goneFor(state: CodeState, restore: string): Leftover | undefined {
  const gone = leftoversOf(state).filter(({ object }) => state.drop.has(oidKey(object)))
  return gone.find(({ object }) => restore.includes(object.name)) ?? gone[0]
}
