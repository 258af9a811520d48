import type { SchemaFile } from '../../archive/archive.ts'
import { Recent } from '../../common/recent.ts'
import { type ErrorCode, GatewayError } from '../../errors.ts'
import { isPostgresError } from '../../postgres/errors.ts'
import { answers, type Sent, send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { asStatementError, lineOf, StatementError } from '../failure.ts'
import { followRenames } from '../parser/follow-renames.ts'
import { splitStatements } from '../parser/parser.ts'
import { isAskedAbout, type Statement } from '../parser/statement.ts'
import { CHECK_CONSTRAINTS, type DeploySession, resetFor } from './session.ts'
import { psqlRefusal, runnableText } from './sql-text.ts'

/** Of files that have been taken apart, in characters: what is known of one takes a few times as much. */
const MAX_TAKEN = 4 * 1024 * 1024

/** A file, taken apart into its statements. */
export interface Script {
  file: SchemaFile
  statements: Statement[]
}

/**
 * Takes files apart.
 * @throws {GatewayError} with `code` where a file has a statement that no deploy can run
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

/** Takes files apart, whatever is in them. */
export async function readScripts(files: SchemaFile[]): Promise<Script[]> {
  return Promise.all(files.map(async (file) => ({ file, statements: await statementsOf(file) })))
}

/** What a deploy replaces; a migration makes what it makes under the first name. */
const IS_CODE = /^(?:functions|views|triggers|policies)\//

/** An archive goes to many databases, and most files of the next one are the same. */
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
 * To be called right before a statement that may take something away: see LossGuard. What it
 * returns is to be called right behind the statement.
 */
export type Ask = (
  file: SchemaFile,
  statement: Statement,
) => Promise<(() => Promise<void>) | undefined>

/** Statements of migrations that may find their work done. */
export interface Passing {
  /** The table or the type that it is about was made in its present state by this deploy. */
  mayPass(statement: Statement): boolean
  /** Whether such a statement has nothing to do, where that can be told before. */
  isDone(statement: Statement): Promise<boolean>
  /** Told of one that was passed over. */
  onPassed(file: SchemaFile, statement: Statement): void
}

/** Its work is done: there is such a column, table, index, type, function or value; or there is no such any more. */
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

/** Told how many rows a statement has inserted, updated, deleted or given. */
export type OnRows = (statement: Statement, rows: number) => void

/**
 * Runs files in order, each with the same session, and leaves that behind. All is sent in one go,
 * but for statements that have to be asked about. `sendLast` sends what is to go out behind them.
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
    for (const statement of statements) {
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
    }
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
 * Sends what ends a file in a transaction: the check of constraints that wait, whose error is the
 * file's, and what makes the session the same for the next one.
 */
export function sendEnd(sql: Sql, session: DeploySession, file: SchemaFile): Sent {
  return send(sql.unsafe(CHECK_CONSTRAINTS + resetFor(session))).catch((error: unknown) => {
    if (isPostgresError(error)) error.position = ''
    throw asStatementError(file, null, error)
  })
}

/** Asks about all statements at once, where none of them makes what another one takes away. */
export async function askAbout(scripts: Script[], ask: Ask): Promise<void> {
  for (const { file, statements } of scripts) {
    for (const statement of statements) await ask(file, statement)
  }
}

/**
 * Sends all statements of a file; they fail with a StatementError. Wait for them with `answers`.
 */
export function sendScript(sql: Sql, { file, statements }: Script, onRows?: OnRows): Sent[] {
  return statements.map((statement) => {
    // Only a text that the parser gave up on holds several statements. The extended protocol
    // runs one alone, so no commit hides behind a syntax error.
    const isUnread = statement.facts.kind === ''
    const query = sql.unsafe(statement.text, [], isUnread ? ({ simple: false } as object) : {})
    // No row is kept in memory.
    return query
      .forEach(() => {})
      .then((result) => onRows?.(statement, (result as { count?: number | null }).count ?? 0))
      .catch((error: unknown) => {
        throw asStatementError(file, statement, error)
      })
  })
}
