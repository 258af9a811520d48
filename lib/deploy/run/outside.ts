import type { SchemaFile } from '../../archive/archive.ts'
import { isPostgresError } from '../../postgres/errors.ts'
import { answers } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'
import {
  asStatementError,
  fileFailure,
  isEndOfSession,
  StatementError,
  withoutAdded,
} from '../failure.ts'
import type { LedgerWriter } from '../ledger/writer.ts'
import type { LossGuard } from '../loss/loss-guard.ts'
import { type Behind, readBehind } from '../loss/routines.ts'
import type { Statement } from '../parser/statement.ts'
import { parseScripts, type Script, sendScript } from './run-file.ts'
import { type DeploySession, LOCK_AGAIN, resetFor } from './session.ts'
import type { TimeLimit } from './time-limit.ts'
import { patiently } from './tries.ts'
import { withHint } from './unfinished.ts'

/**
 * How statements outside of a transaction wait for locks: with the session's lock_timeout,
 * repeatedly for `lockTimeoutMs`.
 */
export interface Patience {
  session: DeploySession
  lockTimeoutMs: number
  limit: TimeLimit
}

/** The part of LossGuard that a no-transaction migration uses. */
export type Guard = Pick<
  LossGuard,
  | 'ask'
  | 'askBefore'
  | 'committed'
  | 'lookAndRetire'
  | 'mayLose'
  | 'retire'
  | 'retires'
  | 'served'
  | 'settle'
>

/**
 * Parses a no-transaction migration and runs the data-loss check for all its statements, so that a
 * migration that is refused or has a syntax error does not begin.
 * @throws {GatewayError} data_loss; migration_failed
 */
export async function prepareOutside(
  sql: Sql,
  database: string,
  file: SchemaFile,
  { ask }: Pick<Guard, 'ask'>,
): Promise<void> {
  const [script] = await parseScripts('migration_failed', 'Migration', [file])
  try {
    for (const statement of script!.statements) {
      if (statement.facts.kind === '') await checkSyntax(sql, file, statement)
      // Functions that it calls are not read yet: they may need what the statements before it
      // create.
      await ask(file, { ...statement, hidden: undefined })
    }
  } catch (error) {
    throw fileFailure('migration_failed', 'Migration', database, error)
  }
}

const STOP = "do $$ begin raise sqlstate 'GWSTP'; end $$; "

/**
 * Lets PostgreSQL check the syntax of a text that the parser could not read. PostgreSQL parses all
 * statements of a simple query before it runs the first, and the first one here raises an error.
 */
async function checkSyntax(sql: Sql, file: SchemaFile, statement: Statement): Promise<void> {
  await sql.unsafe('savepoint reading')
  try {
    await sql.unsafe(STOP + statement.text)
  } catch (error) {
    if (!isPostgresError(error)) throw error
    if (error.code !== 'GWSTP') {
      withoutAdded(error, STOP.length)
      throw asStatementError(file, statement, error)
    }
  }
  await sql.unsafe('rollback to savepoint reading; release savepoint reading')
}

/**
 * Runs a no-transaction migration, statement by statement. The ledger records it as begun before it
 * runs, and as applied once it has finished. After a failure it stays begun, with the error if the
 * session can still write it; if no statement has run, its row is removed. The error has no hint
 * for a retry if the database is new, since it is dropped then.
 * @throws {GatewayError} migration_failed; data_loss
 */
export async function runOutside(
  sql: Sql,
  writer: LedgerWriter,
  database: string,
  file: SchemaFile,
  guard: Guard,
  patience: Patience & { isNew: boolean },
): Promise<void> {
  const [script] = await parseScripts('migration_failed', 'Migration', [file])
  const progress = { done: 0 }
  try {
    await runOneByOne(sql, script!, guard, patience, progress)
    await sql.unsafe(resetFor(patience.session))
  } catch (error) {
    const isEnd = isEndOfSession(error)
    const hasBegun = progress.done > 0 || isEnd
    if (!isEnd) {
      await sql.unsafe('rollback')
      if (hasBegun) writer.setMigration(file, 'begun', (error as Error).message)
      else writer.forgetMigration(file.name)
      await writer.send()
    }
    const failure = fileFailure('migration_failed', 'Migration', database, error)
    if (!hasBegun || patience.isNew) throw failure
    throw withHint(failure, progress.done, script!.statements.length)
  }
  writer.setMigration(file)
  await writer.send()
}

/**
 * SQLSTATEs of a statement that must run outside of a transaction (25001) or that ends its own
 * (2D000).
 */
const NEEDS_NO_TRANSACTION = new Set(['25001', '2D000'])

/**
 * Runs each statement in a transaction of its own, if PostgreSQL allows it there. The transaction
 * keeps other sessions from writing between the data-loss check and the statement, rolls back a
 * loss that shows afterwards, and keeps calls out while a column's type changes.
 * A statement that PostgreSQL only allows outside of a transaction has its call sessions ended
 * after it. A statement that commits by itself is not retried after a lock error: its committed
 * part would run twice.
 */
async function runOneByOne(
  sql: Sql,
  { file, statements }: Script,
  guard: Guard,
  { session, lockTimeoutMs, limit }: Patience,
  progress: { done: number },
): Promise<void> {
  const undo = () => sql.unsafe('rollback')
  for (const statement of statements) {
    const run = () => runOne(sql, session, { file, statements: [statement] })
    const one: Single = { sql, guard, file, statement, mayLose: guard.mayLose(file), run }
    const behind = statement.hidden && (await readBehind(sql, statement.hidden))
    if (behind?.commits) {
      if (!one.mayLose) await askBefore(sql, file, statement, guard, behind)
      await sql.unsafe(`set lock_timeout = ${lockTimeoutMs}`)
      await run()
      await sql.unsafe(`set lock_timeout = ${session.lockTimeoutMs}`)
      await endCalls(one)
    } else {
      await patiently(lockTimeoutMs, limit, undo, () => runWatched(one, undo))
    }
    progress.done++
    if (RUNS_FUNCTIONS.has(statement.facts.kind)) await lockAgain(sql, file, statement)
  }
}

/** Statements that call functions, which may release the advisory lock of the deploy. */
const RUNS_FUNCTIONS = new Set(['SelectStmt', 'DoStmt', 'CallStmt'])

async function lockAgain(sql: Sql, file: SchemaFile, statement: Statement): Promise<void> {
  await sql.unsafe(LOCK_AGAIN).catch((error: unknown) => {
    throw asStatementError(file, statement, error)
  })
}

/** One statement of a no-transaction migration. */
interface Single {
  sql: Sql
  guard: Guard
  file: SchemaFile
  statement: Statement
  mayLose: boolean
  run: () => Promise<void>
}

/**
 * Runs a statement that may be retried after a lock error, with a data-loss check if it needs one.
 */
async function runWatched(one: Single, undo: () => Promise<unknown>): Promise<void> {
  const { guard, file, statement, mayLose, run } = one
  const isSeparate = statement.risks.some((risk) => risk.kind === 'detach' && risk.isConcurrent)
  const isAsked = statement.risks.length > 0 || (statement.hidden !== undefined && !mayLose)
  if (isAsked) {
    await inTransaction(one, isSeparate || mayLose, async () => {
      const check = await guard.ask(file, statement)
      if (!isSeparate) await run()
      await check?.()
    })
    if (isSeparate) await run()
    return
  }
  if (!guard.retires || statement.isCode || statement.facts.isConcurrent) return run()
  const work = async () => {
    await guard.ask(file, statement)
    await run()
  }
  if (await runHeld(() => inTransaction(one, mayLose, work), undo)) return
  await run()
  await endCalls(one)
}

/**
 * Runs `work` in a transaction and commits it with call sessions kept out. Unless the file may lose
 * data, checks for losses before the commit.
 */
async function inTransaction(
  { sql, guard }: Single,
  mayLose: boolean,
  work: () => Promise<void>,
): Promise<void> {
  await sql.unsafe('begin')
  guard.committed()
  await work()
  if (mayLose) await guard.lookAndRetire()
  else {
    await guard.settle()
    await guard.retire()
  }
  await sql.unsafe('commit')
  guard.served()
}

/** Ends the call sessions after a statement that has committed by itself. */
function endCalls(one: Single): Promise<void> {
  return inTransaction(one, true, async () => {})
}

/**
 * @returns false if PostgreSQL does not allow the statement in a transaction; it left no effect
 *   then
 */
async function runHeld(work: () => Promise<void>, undo: () => Promise<unknown>): Promise<boolean> {
  try {
    await work()
    return true
  } catch (error) {
    const isLet = !(error instanceof StatementError) || !NEEDS_NO_TRANSACTION.has(error.error.code)
    if (isLet) throw error
    await undo()
    return false
  }
}

/**
 * Runs the data-loss check for a statement that commits by itself. The check comes before the
 * statement, since no rollback is possible.
 */
async function askBefore(
  sql: Sql,
  file: SchemaFile,
  statement: Statement,
  guard: Guard,
  behind: Behind,
): Promise<void> {
  await sql.unsafe('begin')
  guard.committed()
  await guard.askBefore(file, statement, behind)
  await sql.unsafe('rollback')
}

/**
 * Runs a statement. One with CONCURRENTLY runs without lock_timeout, which would cancel its wait
 * for older transactions; an invalid index of an earlier try is dropped first.
 */
async function runOne(sql: Sql, session: DeploySession, script: Script): Promise<void> {
  const { isConcurrent, index } = script.statements[0]!.facts
  if (!isConcurrent) return answers(sendScript(sql, script))
  await sql.unsafe('set lock_timeout = 0')
  if (index !== undefined) await dropInvalid(sql, index)
  try {
    await answers(sendScript(sql, script))
  } catch (error) {
    // An invalid index slows every write and may still enforce uniqueness.
    if (index !== undefined && !isEndOfSession(error)) await dropInvalid(sql, index).catch(() => {})
    throw error
  }
  await sql.unsafe(`set lock_timeout = ${session.lockTimeoutMs}`)
}

async function dropInvalid(sql: Sql, index: string): Promise<void> {
  const [row] = await sql.unsafe(`
    select from pg_catalog.pg_index
    where indexrelid = pg_catalog.to_regclass(${quoteLiteral(index)}) and not indisvalid
  `)
  if (row) await sql.unsafe(`drop index concurrently ${index}`)
}
