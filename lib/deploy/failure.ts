import type { SchemaFile } from '../archive/archive.ts'
import { type ErrorCode, type ErrorDetails, GatewayError } from '../errors.ts'
import {
  endsConnection,
  fromPostgres,
  isConnectionLost,
  isPostgresError,
  type PostgresError,
  postgresDetails,
  whatBecame,
} from '../postgres/errors.ts'
import type { Statement } from './parser/statement.ts'

/** A statement of a file that PostgreSQL refused. */
export class StatementError extends Error {
  override readonly name = 'StatementError'
  readonly file: SchemaFile
  /** Null where it is not known which one. */
  readonly statement: Statement | null
  readonly error: PostgresError

  constructor(file: SchemaFile, statement: Statement | null, error: PostgresError) {
    super(error.message)
    this.file = file
    this.statement = statement
    this.error = error
  }
}

/**
 * Has the place of an error count without what the gateway has put before, or into, the statement's own
 * text; there is none where it points into that.
 * @param added how many characters
 */
export function withoutAdded(error: PostgresError, added: number): void {
  const position = Number(error.position) - added
  error.position = position > 0 ? String(position) : ''
}

/**
 * The answer for a file that failed: what PostgreSQL said, the file, the line, and that line with
 * a caret under the place. Errors that are not about the file's SQL stay what they are.
 */
export function fileFailure(
  code: ErrorCode,
  what: string,
  database: string,
  error: unknown,
): unknown {
  if (!(error instanceof StatementError)) return fromPostgres(error, database)
  const { file } = error
  const details = {
    database,
    ...postgresDetails(error.error),
    file: file.path,
    ...place(file, error),
    ...hintFor(error),
  }
  if (isConnectionLost(error.error) && !endsSessions(file)) {
    return new GatewayError(
      'connection_failed',
      `${whatBecame(error.error)} in ${what.toLowerCase()} ${file.name}`,
      details,
    )
  }
  return new GatewayError(code, `${what} ${file.name} failed`, details)
}

/** Whether the end of the session is the file's own doing: it would be so the next time, too. */
function endsSessions({ text }: SchemaFile): boolean {
  return /pg_terminate_backend/i.test(text)
}

/** Whether nothing can be asked any more: the statement, or the server, has ended the session. */
export function isEndOfSession(error: unknown): boolean {
  return endsConnection(error instanceof StatementError ? error.error : error)
}

/** Where PostgreSQL points to; the start of the statement where it points to nothing. */
function place(file: SchemaFile, { statement, error }: StatementError): ErrorDetails {
  if (statement === null) return {}
  const position = Number(error.position)
  const offset =
    position > 0
      ? statement.offset + unitsBefore(statement.text, position)
      : statement.offset + leadingBlank(statement.text)
  const before = file.text.slice(0, offset)
  const lineStart = before.lastIndexOf('\n') + 1
  const source = file.text.slice(lineStart).split('\n', 1)[0] ?? ''
  const line = before.split('\n').length
  if (!(position > 0)) return { line, source }
  // Tabs stay, so that the caret stands under its place however wide they are shown.
  const indent = file.text.slice(lineStart, offset).replace(/[^\t]/g, ' ')
  return { line, source, caret: `${indent}^` }
}

/** What to do where PostgreSQL's own words do not tell. */
function hintFor({ statement, error }: StatementError): ErrorDetails {
  if (error.hint) return {}
  if (error.code === ACTIVE_SQL_TRANSACTION && statement?.facts.kind === 'VariableSetStmt') {
    return {
      hint: 'Take SET TRANSACTION out: the transaction is that of the whole deploy, which has begun',
    }
  }
  if (error.code === ACTIVE_SQL_TRANSACTION) {
    return {
      hint: 'Let the migration run outside of a transaction: -- gateway: no-transaction before its first statement',
    }
  }
  if (statement?.facts.setsOwner && OWNER_ERRORS.has(error.code)) {
    return {
      hint:
        'Take OWNER TO out (pg_dump --no-owner leaves it out): what a deploy makes belongs to the ' +
        "platform's role",
    }
  }
  return {}
}

const ACTIVE_SQL_TRANSACTION = '25001'

/** There is no such role, or the platform's role may not give anything to it. */
const OWNER_ERRORS = new Set(['42704', '42501'])

/** The line of the file on which the statement starts. */
export function lineOf(file: SchemaFile, statement: Statement): number {
  const offset = statement.offset + leadingBlank(statement.text)
  return file.text.slice(0, offset).split('\n').length
}

/** PostgreSQL counts characters, from 1; JavaScript UTF-16 units, from 0. */
function unitsBefore(text: string, position: number): number {
  let units = 0
  let characters = 0
  for (const character of text) {
    if (++characters >= position) break
    units += character.length
  }
  return units
}

/** The white space and comments that a statement's text starts with. */
function leadingBlank(text: string): number {
  return /^(?:\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*/.exec(text)?.[0].length ?? 0
}

/** Marks errors of PostgreSQL with the statement that they are about. */
export function asStatementError(
  file: SchemaFile,
  statement: Statement | null,
  error: unknown,
): unknown {
  return isPostgresError(error) ? new StatementError(file, statement, error) : error
}
