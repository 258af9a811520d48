import type { SchemaFile } from '../../archive/archive.ts'
import { GatewayError } from '../../errors.ts'
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

/** How statements outside of a transaction wait for locks. */
export interface Patience {
  session: DeploySession
  lockTimeoutMs: number
  limit: TimeLimit
}

/** What a migration outside of any transaction uses of a LossGuard. */
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
 * Reads a migration that is to run outside of any transaction, and asks about all its statements,
 * so that one that is refused, or has a slip in its text, has not begun.
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
      // What runs behind it may need what the statements before it make.
      await ask(file, { ...statement, hidden: undefined })
    }
  } catch (error) {
    throw fileFailure('migration_failed', 'Migration', database, error)
  }
}

const STOP = "do $$ begin raise sqlstate 'GWSTP'; end $$; "

/**
 * Has PostgreSQL read a text that the parser gave up on: all statements of a simple query are read
 * before the first one is run, which here ends it.
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
 * Runs a migration outside of any transaction, statement by statement. The ledger shows it as begun
 * before it runs, and what became of it. A new database goes where it fails: no hint for a next try.
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

/** Of a statement that has to run outside of any transaction, or that ends its own. */
const NEEDS_NO_TRANSACTION = new Set(['25001', '2D000'])

/**
 * Each statement has a transaction of its own, where PostgreSQL lets it: nothing is written between
 * the question whether it loses data and the statement, what it turns out to lose is rolled back, and
 * no call runs when it commits another type of a column. What PostgreSQL lets run outside alone has its
 * calls ended once it is through. What commits by itself runs once, whatever lock it does not get: its
 * first part would run again.
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

/** What may give up the lock of the deploy. */
const RUNS_FUNCTIONS = new Set(['SelectStmt', 'DoStmt', 'CallStmt'])

async function lockAgain(sql: Sql, file: SchemaFile, statement: Statement): Promise<void> {
  await sql.unsafe(LOCK_AGAIN).catch((error: unknown) => {
    throw asStatementError(file, statement, error)
  })
}

/** One statement of a migration that runs outside of any transaction. */
interface Single {
  sql: Sql
  guard: Guard
  file: SchemaFile
  statement: Statement
  mayLose: boolean
  run: () => Promise<void>
}

/** Runs a statement that may be tried again. */
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

/** Commits `work`, with no call beside it. Unless that is allowed, it is looked at for what it loses. */
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

/** Behind a statement that has committed by itself. */
function endCalls(one: Single): Promise<void> {
  return inTransaction(one, true, async () => {})
}

/** @returns false where PostgreSQL does not let it run in a transaction: nothing is left of it then */
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

/** Asks about what commits by itself: nothing of it can be undone. */
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
 * CONCURRENTLY waits for all transactions that are older, which is what it is for: lock_timeout would
 * cut it. What an earlier try has left of an index would be in its way.
 */
async function runOne(sql: Sql, session: DeploySession, script: Script): Promise<void> {
  const { isConcurrent, index } = script.statements[0]!.facts
  if (!isConcurrent) return answers(sendScript(sql, script))
  await sql.unsafe('set lock_timeout = 0')
  if (index !== undefined) await dropInvalid(sql, index)
  try {
    await answers(sendScript(sql, script))
  } catch (error) {
    // It would cost every write, and may refuse rows as if it were valid.
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

const WHAT_TO_DO =
  'Correct the file, or the data that it met, and send it again with retry=true (an edited file ' +
  'needs none): it runs from its first statement, so write those that have run so that they can ' +
  'run twice (IF NOT EXISTS). Or end it by a later migration and send repair=true to have it taken as applied'

/** The answer for a migration that was begun by an earlier deploy, and is the same still. */
export function unfinished(database: string, file: SchemaFile, error: string | null): GatewayError {
  return new GatewayError('migration_failed', `Migration ${file.name} was begun and not finished`, {
    database,
    file: file.path,
    cause: error ?? 'The gateway or PostgreSQL was stopped while it ran',
    hint: WHAT_TO_DO,
  })
}

function withHint(error: unknown, done: number, count: number): unknown {
  if (!(error instanceof GatewayError)) return error
  const { code, message, details } = error
  if (code !== 'migration_failed' && code !== 'data_loss') return error
  const told = `${done} of its ${count} statements have run, outside of any transaction. ${WHAT_TO_DO}`
  const hint = details.hint ? `${told}. ${details.hint}` : told
  return new GatewayError(code, message, { ...details, hint })
}
