/** Limits of the calls of one tenant, or of a main database. Null: not limited. */
export interface TenantLimits {
  /** Connections for calls, on all gateways together. */
  maxConnections: number | null
  /** Calls a second, on all gateways together. */
  callsPerSecond: number | null
  /** Limit of one statement of a call; STATEMENT_TIMEOUT_SECS applies as well. */
  statementTimeoutMs: number | null
  /** Schemas that replace CALLABLE_SCHEMAS. */
  callableSchemas: string[] | null
  /** True: calls run in read-only transactions. */
  isReadOnly: boolean
}

/** Limits by the names that requests, answers and the catalog give them; an absent one is none. */
export interface NamedLimits {
  max_connections?: number
  calls_per_second?: number
  statement_timeout_ms?: number
  callable_schemas?: string[]
  read_only?: boolean
}

/** New values of limits; null removes the limit. */
export type LimitChanges = { [name in keyof NamedLimits]?: NamedLimits[name] | null }

/** The limits of a database as the catalog stores them. */
export interface StoredLimits extends NamedLimits {
  /** Rises with each change, so that a gateway knows which of two reads is the newer one. */
  revision: number
}

/** Returns the limits for answers; empty without limits. */
export function describeLimits(stored: StoredLimits | null | undefined): NamedLimits {
  const { revision: _, ...limits } = stored ?? { revision: 0 }
  return limits
}

/** Returns the limits that the catalog stores; undefined if there are none. */
export function toLimits(stored: StoredLimits | null): TenantLimits | undefined {
  const named = describeLimits(stored)
  if (Object.keys(named).length === 0) return undefined
  return {
    maxConnections: named.max_connections ?? null,
    callsPerSecond: named.calls_per_second ?? null,
    statementTimeoutMs: named.statement_timeout_ms ?? null,
    callableSchemas: named.callable_schemas ?? null,
    isReadOnly: named.read_only ?? false,
  }
}
