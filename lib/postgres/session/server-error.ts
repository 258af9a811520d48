import { excerptOf } from '../../common/excerpt.ts'
import { protocolViolation } from './protocol.ts'

/** SQLSTATE of an unknown prepared statement: SQL has deallocated it. */
const INVALID_SQL_STATEMENT_NAME = '26000'
/** SQLSTATE and routine of the error "cached plan must not change result type". */
const FEATURE_NOT_SUPPORTED = '0A000'
const REVALIDATE_CACHED_QUERY = 'RevalidateCachedQuery'

/**
 * An ErrorResponse of PostgreSQL (PostgreSQL manual, "Error and Notice Message Fields"). It has no
 * stack trace: such errors are normal answers, and a trace would be the largest part of their cost.
 * Message, detail, hint and context are cut at 1,024 bytes.
 */
export class ServerError extends Error {
  override readonly name = 'ServerError'
  /** ERROR, FATAL or PANIC: untranslated, whatever `lc_messages` is. */
  severity = 'ERROR'
  /** SQLSTATE. */
  code = 'XX000'
  detail: string | undefined
  hint: string | undefined
  /** Position in the statement, in characters from 1; '' if PostgreSQL reports none. */
  position = ''
  /** Context: the call stack of functions. */
  where: string | undefined
  schema: string | undefined
  table: string | undefined
  column: string | undefined
  datatype: string | undefined
  constraint: string | undefined
  /** Routine in PostgreSQL's source code. */
  routine = ''

  constructor(message: string) {
    const limit = Error.stackTraceLimit
    Error.stackTraceLimit = 0
    super(message)
    Error.stackTraceLimit = limit
  }
}

/**
 * Reads the body of an ErrorResponse.
 * @throws {Error} PROTOCOL_VIOLATION if a field runs past the message
 */
export function readServerError(bytes: Buffer, start: number, end: number): ServerError {
  const error = new ServerError('')
  let at = start
  while (at < end && bytes[at] !== 0) {
    const type = bytes[at]!
    const from = at + 1
    const to = bytes.indexOf(0, from)
    if (to === -1 || to >= end) throw protocolViolation('a field of an error runs past its message')
    setField(error, type, bytes, from, to)
    at = to + 1
  }
  if (at !== end - 1) throw protocolViolation('an error does not end with its message')
  return error
}

function setField(error: ServerError, type: number, bytes: Buffer, from: number, to: number): void {
  switch (type) {
    case 0x56: // V
      error.severity = bytes.toString('latin1', from, to)
      break
    case 0x43: // C
      error.code = bytes.toString('latin1', from, to)
      break
    case 0x4d: // M
      error.message = excerptOf(bytes, from, to)
      break
    case 0x44: // D
      error.detail = excerptOf(bytes, from, to)
      break
    case 0x48: // H
      error.hint = excerptOf(bytes, from, to)
      break
    case 0x50: // P
      error.position = bytes.toString('latin1', from, to)
      break
    case 0x57: // W
      error.where = excerptOf(bytes, from, to)
      break
    case 0x73: // s
      error.schema = excerptOf(bytes, from, to)
      break
    case 0x74: // t
      error.table = excerptOf(bytes, from, to)
      break
    case 0x63: // c
      error.column = excerptOf(bytes, from, to)
      break
    case 0x64: // d
      error.datatype = excerptOf(bytes, from, to)
      break
    case 0x6e: // n
      error.constraint = excerptOf(bytes, from, to)
      break
    case 0x52: // R
      error.routine = bytes.toString('latin1', from, to)
      break
  }
}

/** Whether the prepared statement itself is invalid and must be prepared again. */
export function isOfPreparedStatement({ code, routine }: ServerError): boolean {
  return (
    code === INVALID_SQL_STATEMENT_NAME ||
    (code === FEATURE_NOT_SUPPORTED && routine === REVALIDATE_CACHED_QUERY)
  )
}
