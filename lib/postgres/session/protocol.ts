/**
 * Constants of the PostgreSQL frontend/backend protocol 3.0 (PostgreSQL manual, "Message Formats").
 * A message consists of its type (one byte), its length (Int32, including itself but not the type)
 * and its body.
 */

/** Maximum size of a message: PostgreSQL allocates no more for one (`MaxAllocSize`). */
export const MAX_MESSAGE_BYTES = 2 ** 30

// Types of messages from the server.
export const AUTHENTICATION = 0x52 // R
export const BACKEND_KEY_DATA = 0x4b // K
export const BIND_COMPLETE = 0x32 // 2
export const CLOSE_COMPLETE = 0x33 // 3
export const COMMAND_COMPLETE = 0x43 // C
export const COPY_DATA = 0x64 // d
export const COPY_DONE = 0x63 // c
export const COPY_IN_RESPONSE = 0x47 // G
export const COPY_OUT_RESPONSE = 0x48 // H
export const DATA_ROW = 0x44 // D
export const EMPTY_QUERY_RESPONSE = 0x49 // I
export const ERROR_RESPONSE = 0x45 // E
export const NEGOTIATE_PROTOCOL_VERSION = 0x76 // v
export const NO_DATA = 0x6e // n
export const NOTICE_RESPONSE = 0x4e // N
export const NOTIFICATION_RESPONSE = 0x41 // A
export const PARAMETER_STATUS = 0x53 // S
export const PARSE_COMPLETE = 0x31 // 1
export const PORTAL_SUSPENDED = 0x73 // s
export const READY_FOR_QUERY = 0x5a // Z
export const ROW_DESCRIPTION = 0x54 // T

/** Error code of a server that breaks the protocol. */
export const PROTOCOL_VIOLATION = 'PROTOCOL_VIOLATION'

/** Returns the error of a server that breaks the protocol; the session cannot be read further. */
export function protocolViolation(what: string): Error {
  const error = new Error(`The server breaks the PostgreSQL protocol: ${what}`)
  return Object.assign(error, { code: PROTOCOL_VIOLATION })
}
