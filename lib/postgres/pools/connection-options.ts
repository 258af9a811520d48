import type { Route } from '../hosts/route.ts'
import type { Credentials } from '../hosts/server.ts'
import type { OpeningQuestion } from './call-sessions.ts'
import type { Speaks } from './session-parameters.ts'

/** How a connection is opened. */
export interface ConnectionOptions {
  database: string
  /** Default: `sql`. */
  speaks?: Speaks
  /** Role to log in as; default: the server's. */
  credentials?: Credentials | undefined
  /** Route to the server; default: its first host. */
  route?: Route
  connectTimeoutMs: number
  statementTimeoutMs: number
  /** Asked when a session for calls opens. */
  atOpening?: OpeningQuestion | undefined
}
