import type { SchemaFile } from '../archive/archive.ts'
import { asStatementError, fileFailure } from '../deploy/failure.ts'
import { leadingBlank, placeAt } from '../deploy/parser/place.ts'
import { splitStatements } from '../deploy/parser/split.ts'
import type { Statement } from '../deploy/parser/statement.ts'
import { psqlRefusal, runnableText } from '../deploy/run/sql-text.ts'
import { GatewayError } from '../errors.ts'
import { Connection, type Sql } from '../postgres/pools/connection.ts'
import { callsOfTransaction } from './coverage.ts'
import type { ScratchSessions } from './scratch.ts'
import { readTap, type TapResult, usesTap } from './tap.ts'

/** A place and the reason of a failure, as the HTTP contract names its parts. */
export interface TestFailure {
  message: string
  file: string
  line?: number
  source?: string
  caret?: string
  detail?: string
  hint?: string
  /** Call stack of PostgreSQL. */
  context?: string
}

/** What became of one test file. */
export interface TestResult {
  /** Path, such as `tests/notes.sql`. */
  path: string
  ms: number
  /** Undefined: it has passed. */
  failure: TestFailure | undefined
  /** Its assertions in the Test Anything Protocol; undefined if it has none. */
  tap: TapResult | undefined
  /** What it has said with RAISE NOTICE or WARNING. */
  notices: string[]
  /** Oids of the functions that were called. */
  called: string[]
}

/** Statements that begin and end the transaction of a file for pg_prove or psql. */
const BEGIN = /^(?:begin|start\s+transaction)\b/i
const ROLLBACK = /^rollback\b(?!\s+(?:work\s+|transaction\s+)?to\b)/i
const SAVEPOINT = /^(?:savepoint|release|rollback\s+(?:work\s+|transaction\s+)?to)\b/i

const COMMITS =
  'A test runs in a transaction that is rolled back: it may begin with BEGIN and end with ROLLBACK, and must not commit'

interface Limits {
  /** statement_timeout. */
  timeoutMs: number
  /** Ends the test: what it returns then means nothing. */
  signal: AbortSignal
}

/**
 * Runs a test in a session and a transaction of its own, which is rolled back. PostgreSQL's parser
 * must be loaded.
 * @param database where it runs
 */
export async function runTest(
  file: SchemaFile,
  database: string,
  { server, route, credentials }: ScratchSessions,
  { timeoutMs, signal }: Limits,
): Promise<TestResult> {
  const started = performance.now()
  const connection = new Connection(
    server,
    { database, credentials, route, connectTimeoutMs: 10_000, statementTimeoutMs: timeoutMs },
    () => {},
  )
  let end = () => {}
  const ended = new Promise<void>((resolve) => {
    end = () => {
      connection.destroy()
      resolve()
    }
  })
  signal.addEventListener('abort', end)
  const notices: string[] = []
  connection.onNotice = ({ severity, message }) => {
    if (severity !== 'DEBUG') notices.push(`${severity}: ${message}`)
  }
  const lines: string[] = []
  let failure: TestFailure | undefined
  let called: string[] = []
  try {
    const { sql } = connection
    const run = async () => {
      await sql.unsafe('begin; savepoint test')
      failure = await runStatements(sql, file, database, lines)
      await sql.unsafe('rollback to savepoint test')
      called = await callsOfTransaction(sql)
      await sql.unsafe('rollback')
    }
    await Promise.race([run(), ended])
  } catch (error) {
    failure ??= { file: file.path, message: (error as Error).message }
  } finally {
    signal.removeEventListener('abort', end)
    await connection.close().catch(() => {})
  }
  // A function of the platform may answer "ok" too.
  const tap = usesTap(file.text) ? readTap(lines) : undefined
  const ms = Math.round(performance.now() - started)
  failure ??= tapFailure(file, tap)
  return { path: file.path, ms, failure, tap, notices, called }
}

/** @returns the failure, if one fails */
async function runStatements(
  sql: Sql,
  file: SchemaFile,
  database: string,
  lines: string[],
): Promise<TestFailure | undefined> {
  let last: Statement | null = null
  try {
    const statements = splitStatements(runnableText(file))
    const [first] = statements
    const psql = first && first.facts.kind === '' ? psqlRefusal(first.text) : undefined
    if (psql) {
      const { line, source } = placeAt(file.text, psql.offset)
      return { file: file.path, line, source, message: psql.refusal }
    }
    for (const [i, statement] of statements.entries()) {
      last = statement
      if (statement.facts.kind === 'TransactionStmt') {
        const words = statement.text.slice(leadingBlank(statement.text))
        if (i === 0 && BEGIN.test(words)) continue
        if (i > 0 && i === statements.length - 1 && ROLLBACK.test(words)) continue
        if (!SAVEPOINT.test(words)) {
          return { file: file.path, ...startOf(file, statement), message: COMMITS }
        }
      }
      // PostgreSQL would wait for data for ever.
      if (statement.facts.kind === 'CopyStmt' && statement.refusal) {
        return { file: file.path, ...startOf(file, statement), message: statement.refusal }
      }
      for (const line of textsIn(await sql.unsafe(statement.text))) lines.push(line)
    }
    // A deferred constraint would be checked by a commit.
    last = null
    await sql.unsafe('set constraints all immediate')
    return undefined
  } catch (error) {
    return failureOf(file, last, database, error)
  }
}

/** Returns the values of rows that have one column, as pgTAP gives them, a line each. */
function textsIn(results: unknown): string[] {
  const rows = (Array.isArray(results) ? results.flat() : []) as Record<string, unknown>[]
  return rows.flatMap((row) => {
    const [value, ...more] = Object.values(row ?? {})
    return typeof value === 'string' && more.length === 0 ? value.split('\n') : []
  })
}

function failureOf(
  file: SchemaFile,
  statement: Statement | null,
  database: string,
  error: unknown,
): TestFailure {
  const wrapped = asStatementError(file, statement, error)
  const found = fileFailure('migration_failed', 'Test', database, wrapped)
  if (!(found instanceof GatewayError)) {
    return { file: file.path, message: (error as Error).message }
  }
  const { line, source, caret, detail, hint, context } = found.toJSON() as Partial<TestFailure>
  return {
    file: file.path,
    message: (error as Error).message,
    ...(line !== undefined && { line, source, caret }),
    ...(statement && !caret && lineInBlock(file, statement, context)),
    ...(detail && { detail }),
    ...(hint && { hint }),
    ...(context && { context }),
  } as TestFailure
}

/** Returns the line of a DO block that PostgreSQL names; its first line is that of the quote. */
function lineInBlock(file: SchemaFile, { text, offset }: Statement, context = '') {
  const found = [...context.matchAll(/inline_code_block line (\d+)/g)].at(-1)
  const blank = leadingBlank(text)
  const quote = /\$[^$\s]*\$|'/.exec(text.slice(blank))
  if (!found || !quote) return {}
  const first = placeAt(file.text, offset + blank + quote.index).line
  const line = first + Number(found[1]) - 1
  return { line, source: file.text.split('\n')[line - 1] ?? '' }
}

function startOf(file: SchemaFile, { text, offset }: Statement) {
  const { line, source } = placeAt(file.text, offset + leadingBlank(text))
  return { line, source }
}

function tapFailure(file: SchemaFile, tap: TapResult | undefined): TestFailure | undefined {
  const said = [...(tap?.failed ?? []), ...(tap?.problem ? [tap.problem] : [])]
  return said.length > 0 ? { file: file.path, message: said.join('\n') } : undefined
}
