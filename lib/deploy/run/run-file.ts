import type { SchemaFile } from '../../archive/archive.ts'
import { inTurns } from '../../common/in-slices.ts'
import { Recent } from '../../common/recent.ts'
import { type ErrorCode, GatewayError } from '../../errors.ts'
import { isPostgresError } from '../../postgres/errors.ts'
import { answers, mayFail, type Sent, send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { asStatementError, lineOf, StatementError } from '../failure.ts'
import { followRenames } from '../parser/follow-renames.ts'
import { splitStatements } from '../parser/parser.ts'
import { isAskedAbout, type Statement } from '../parser/statement.ts'
import { CHECK_CONSTRAINTS, type DeploySession, resetFor } from './session.ts'
import { psqlRefusal, runnableText } from './sql-text.ts'

/**
 * Maximum text of parsed files in the cache, in characters; the parsed form takes a few times as
 * much memory.
 */
const MAX_TAKEN = 4 * 1024 * 1024

/** A file, split into its statements. */
export interface Script {
  file: SchemaFile
  statements: Statement[]
}

/**
 * Splits and parses files.
 * @param what kind of the files, the first word of the error message
 * @throws {GatewayError} with `code` if a file has a statement that a deploy cannot run
 */
export async function parseScripts(
  code: ErrorCode,
  what: string,
  files: SchemaFile[],
): Promise<Script[]> {
  return Promise.all(
    files.map(async (file) => {
      const statements = await statementsOf(file)
      const refused = findRefused(file, statements)
      if (!refused) return { file, statements }
      throw new GatewayError(code, `${what} ${file.name} failed`, {
        cause: refused.refusal,
        file: file.path,
        line: refused.line,
      })
    }),
  )
}

function findRefused(
  file: SchemaFile,
  statements: Statement[],
): { refusal: string; line: number } | undefined {
  for (const statement of statements) {
    if (statement.refusal) return { refusal: statement.refusal, line: lineOf(file, statement) }
    const psql = statement.facts.kind === '' && psqlRefusal(statement.text)
    if (psql) {
      const text = statement.text.slice(psql.offset)
      return { refusal: psql.refusal, line: lineOf(file, { ...statement, ...psql, text }) }
    }
  }
  return undefined
}

/** Splits and parses files without refusing any statement. */
export async function readScripts(files: SchemaFile[]): Promise<Script[]> {
  return Promise.all(files.map(async (file) => ({ file, statements: await statementsOf(file) })))
}

/**
 * Paths of the code sections. Renames within these files are followed to the final name; a
 * migration creates objects under their first name.
 */
const IS_CODE = /^(?:functions|views|triggers|policies)\//

/**
 * Cache of parsed files: an archive goes to many databases, and most files of the next archive are
 * the same.
 */
const taken = new Recent<Promise<Statement[]>>(MAX_TAKEN)

function statementsOf(file: SchemaFile): Promise<Statement[]> {
  const key = `${file.path} ${file.checksum}`
  const known = taken.get(key)
  if (known) return known
  const statements = splitStatements(runnableText(file)).then((all) =>
    IS_CODE.test(file.path) ? followRenames(all) : all,
  )
  taken.set(key, statements, file.text.length)
  statements.catch(() => taken.delete(key))
  return statements
}

/**
 * Must be called right before a statement that may lose data; see LossGuard. The returned function
 * must be called right after the statement.
 */
export type Ask = (
  file: SchemaFile,
  statement: Statement,
) => Promise<(() => Promise<void>) | undefined>

/** Decides which statements of migrations may be passed over because their work is done. */
export interface Passing {
  /**
   * Whether the statement is about a table, type or function that this deploy already created in
   * its final state.
   */
  mayPass(statement: Statement): boolean
  /** Whether such a statement has nothing to do, as far as that can be told before it runs. */
  isDone(statement: Statement): Promise<boolean>
  /** Called for each statement that was passed over. */
  onPassed(file: SchemaFile, statement: Statement): void
}

/**
 * SQLSTATEs that mean that the work of a statement is done: the column, table, index, type,
 * function or enum value exists already, or no longer exists.
 */
const DONE_ALREADY = new Set([
  '42701',
  '42P07',
  '42710',
  '42723',
  '22023',
  '42703',
  '42704',
  '42P01',
  '42P13',
])

/** Called with the number of rows that a statement inserted, updated, deleted or returned. */
export type OnRows = (statement: Statement, rows: number) => void

/**
 * Runs files in order. The session is reset after each. Everything is sent in one round trip,
 * except around statements that need a data-loss check.
 * @param sendLast sends further queries after the last file, in the same round trip
 * @throws {StatementError}
 * @throws {GatewayError} data_loss
 */
export async function runScripts(
  sql: Sql,
  session: DeploySession,
  scripts: Script[],
  ask: Ask,
  passing?: Passing,
  sendLast?: () => Sent,
  onRows?: OnRows,
): Promise<void> {
  let sent: Sent[] = []
  for (const script of scripts) {
    const { file, statements } = script
    await inTurns(statements, async (statement) => {
      if (isAskedAbout(statement)) {
        await answers(sent)
        sent = []
      }
      const check = await ask(file, statement)
      if (passing?.mayPass(statement)) {
        await answers(sent)
        sent = []
        await runOrPass(sql, file, statement, passing)
      } else sent.push(...sendScript(sql, { file, statements: [statement] }, onRows))
      if (check) {
        await answers(sent)
        sent = []
        await check()
      }
    })
    sent.push(sendEnd(sql, session, file))
  }
  if (sendLast) sent.push(sendLast())
  await answers(sent)
}

async function runOrPass(
  sql: Sql,
  file: SchemaFile,
  statement: Statement,
  passing: Passing,
): Promise<void> {
  if (await passing.isDone(statement)) return passing.onPassed(file, statement)
  try {
    await answers([
      send(sql.unsafe('savepoint passing')),
      ...sendScript(sql, { file, statements: [statement] }),
      send(sql.unsafe('release savepoint passing')),
    ])
  } catch (error) {
    const isDone = error instanceof StatementError && DONE_ALREADY.has(error.error.code)
    if (!isDone) throw error
    await sql.unsafe('rollback to savepoint passing; release savepoint passing')
    passing.onPassed(file, statement)
  }
}

/**
 * Sends the end of a file in a transaction: the check of deferred constraints, whose error belongs
 * to the file, and the reset of the session.
 */
export function sendEnd(sql: Sql, session: DeploySession, file: SchemaFile): Sent {
  return mayFail(
    send(sql.unsafe(CHECK_CONSTRAINTS + resetFor(session))).catch((error: unknown) => {
      if (isPostgresError(error)) error.position = ''
      throw asStatementError(file, null, error)
    }),
  )
}

/**
 * Runs the data-loss check for all statements before any of them runs. Only valid if no statement
 * creates what another one removes.
 */
export async function askAbout(scripts: Script[], ask: Ask): Promise<void> {
  for (const { file, statements } of scripts) {
    for (const statement of statements) await ask(file, statement)
  }
}

/**
 * Whether a quote follows a backslash, which escapes it in any string while standard_conforming_strings is off;
 * the parser reads it as a character. A function may have set that, or a text that is put together.
 */
function mayBeOdd({ text }: Statement): boolean {
  return text.includes("\\'")
}

/**
 * Sends all statements of a file. The returned promises reject with a StatementError; wait for them
 * with `answers`.
 */
export function sendScript(sql: Sql, { file, statements }: Script, onRows?: OnRows): Sent[] {
  return statements.map((statement) => {
    // A text that the parser could not read, or may read strings of in another way, can hold several
    // statements. The extended protocol accepts a single one, so no COMMIT can hide in it.
    const isUnread = statement.facts.kind === '' || mayBeOdd(statement)
    const query = sql.unsafe(statement.text, [], isUnread ? ({ simple: false } as object) : {})
    // Rows are discarded as they come, so that none is kept in memory.
    return mayFail(
      query
        .forEach(() => {})
        .then((result) => onRows?.(statement, (result as { count?: number | null }).count ?? 0))
        .catch((error: unknown) => {
          throw asStatementError(file, statement, error)
        }),
    )
  })
}
