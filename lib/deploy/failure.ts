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
import { INVALID_TRANSACTION_TERMINATION } from '../postgres/sqlstates.ts'
import { leadingBlank, placeAt, unitsOf } from './parser/place.ts'
import type { Statement } from './parser/statement.ts'

/** A PostgreSQL error together with the file and the statement that raised it. */
export class StatementError extends Error {
  override readonly name = 'StatementError'
  readonly file: SchemaFile
  /** Statement that failed; null if it is not known. */
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
 * Corrects the position of an error for text that the gateway put before the statement. Clears the
 * position if it points into the added text.
 * @param added length of the added text in characters
 */
export function withoutAdded(error: PostgresError, added: number): void {
  const position = Number(error.position) - added
  error.position = position > 0 ? String(position) : ''
}

/**
 * Returns the error of a failed file: PostgreSQL's message, the file, the line number, the source
 * line and a caret under the position. Errors that are not about the file's SQL are returned as
 * `fromPostgres` maps them.
 * @param what kind of the file, the first word of the message ("Migration", "Table file")
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

/**
 * Whether the file itself may have ended the session. A retry of such a file would fail the same
 * way.
 */
function endsSessions({ text }: SchemaFile): boolean {
  return /pg_terminate_backend/i.test(text)
}

/** Whether the error ended the session, so that no further statement can be sent. */
export function isEndOfSession(error: unknown): boolean {
  return endsConnection(error instanceof StatementError ? error.error : error)
}

/**
 * Returns the line, the source line and the caret of PostgreSQL's error position, in characters
 * from 1. Falls back to the first line of the statement, without a caret, if the error has no
 * position.
 */
function place(file: SchemaFile, { statement, error }: StatementError): ErrorDetails {
  if (statement === null) return {}
  const position = Number(error.position)
  const offset =
    position > 0
      ? statement.offset + unitsOf(statement.text, position - 1)
      : statement.offset + leadingBlank(statement.text)
  const { line, source, caret } = placeAt(file.text, offset)
  return position > 0 ? { line, source, caret } : { line, source }
}

/** Returns a hint for an error to which PostgreSQL gave none. */
function hintFor({ statement, error }: StatementError): ErrorDetails {
  if (error.hint) return {}
  if (error.code === ACTIVE_SQL_TRANSACTION && statement?.facts.kind === 'VariableSetStmt') {
    return {
      hint: 'Remove SET TRANSACTION: the whole deploy is one transaction, which has already begun',
    }
  }
  // A procedure that commits.
  const isEnding =
    error.code === INVALID_TRANSACTION_TERMINATION && statement?.facts.kind === 'CallStmt'
  if (error.code === ACTIVE_SQL_TRANSACTION || isEnding) {
    return {
      hint: 'Run the migration outside of a transaction: write "-- gateway: no-transaction" before its first statement',
    }
  }
  if (statement?.facts.setsOwner && OWNER_ERRORS.has(error.code)) {
    return {
      hint:
        'Remove OWNER TO (pg_dump --no-owner omits it): the objects that a deploy creates belong to ' +
        "the platform's role",
    }
  }
  if (OF_PRIVILEGES.has(statement?.facts.kind ?? '') && OWNER_ERRORS.has(error.code)) {
    return {
      hint: 'Remove GRANT, REVOKE and ALTER DEFAULT PRIVILEGES of other roles (pg_dump --no-privileges omits them)',
    }
  }
  return {}
}

const OF_PRIVILEGES = new Set(['GrantStmt', 'AlterDefaultPrivilegesStmt'])

const ACTIVE_SQL_TRANSACTION = '25001'

/**
 * undefined_object: the role does not exist. insufficient_privilege: the platform's role may not
 * give objects to it.
 */
const OWNER_ERRORS = new Set(['42704', '42501'])

/** Returns the line number, from 1, on which the statement starts. */
export function lineOf(file: SchemaFile, statement: Statement): number {
  return placeAt(file.text, statement.offset + leadingBlank(statement.text)).line
}

/**
 * Wraps a PostgreSQL error with the file and the statement that raised it; returns any other error
 * as it is.
 */
export function asStatementError(
  file: SchemaFile,
  statement: Statement | null,
  error: unknown,
): unknown {
  return isPostgresError(error) ? new StatementError(file, statement, error) : error
}
