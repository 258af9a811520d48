import type { OpeningQuestion } from './call-sessions.ts'

/** Limits of the connections of `Pools`, and what their sessions are asked. */
export interface SupplyLimits {
  maxConnectionsPerPool: number
  maxTotalConnections: number
  /** Limit for all databases of one platform together. */
  maxConnectionsPerPlatform: number
  /** Returns the limit of connections for calls to a database; undefined: not limited apart. */
  mostForCalls?: (database: string) => number | undefined
  poolIdleTimeoutMs: number
  poolMaxLifetimeMs: number
  poolWaitTimeoutMs: number
  connectTimeoutMs: number
  statementTimeoutMs: number
  /** Returns what a new session for calls of a database is asked; undefined: nothing. */
  atOpening?: ((database: string) => OpeningQuestion | undefined) | undefined
}
