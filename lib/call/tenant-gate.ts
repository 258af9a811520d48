import { GatewayError } from '../errors.ts'
import {
  INVALID_TRANSACTION_TERMINATION,
  READ_ONLY_SQL_TRANSACTION,
} from '../postgres/sqlstates.ts'
import type { TenantLimits } from '../tenancy/limits/tenant-limits.ts'
import type { BatchResult } from './run/running-batch.ts'
import type { Restrictions } from './run/time-limit.ts'

/** Limits of tenants, as calls ask for them. */
export interface LimitsOfCalls {
  /** Returns the limits of the database's tenant; undefined if there are none. */
  of(database: string): TenantLimits | undefined
  /** Number of gateways that share the limits. */
  gateways(): number
}

/** Calls that a tenant may begin now, of its share on this gateway. */
interface Bucket {
  /** Below 0 after a batch of more calls than a second has. */
  calls: number
  /** `performance.now()` of the last change. */
  at: number
}

/**
 * Admits the calls of tenants that have limits. Each gateway admits its share of the calls a second:
 * a token bucket that holds one second's calls, at least one. A batch takes one for each of its
 * calls; a batch of more than the bucket holds begins when the bucket is full.
 */
export class TenantGate {
  readonly #limits: LimitsOfCalls
  /** A change of limits makes another object, and so a new bucket. */
  readonly #buckets = new WeakMap<TenantLimits, Bucket>()

  constructor(limits: LimitsOfCalls) {
    this.#limits = limits
  }

  /**
   * Counts calls that are about to begin, and returns their tenant's limits; undefined without any.
   * @throws {GatewayError} rate_limited
   */
  admit(database: string, calls = 1): TenantLimits | undefined {
    const limits = this.#limits.of(database)
    if (limits?.callsPerSecond) this.#take(database, limits, limits.callsPerSecond, calls)
    return limits
  }

  #take(database: string, limits: TenantLimits, perSecond: number, calls: number): void {
    const rate = perSecond / this.#limits.gateways()
    const most = Math.max(1, rate)
    const now = performance.now()
    let bucket = this.#buckets.get(limits)
    if (!bucket) {
      bucket = { calls: most, at: now }
      this.#buckets.set(limits, bucket)
    }
    bucket.calls = Math.min(most, bucket.calls + ((now - bucket.at) / 1000) * rate)
    bucket.at = now
    const missing = Math.min(calls, most) - bucket.calls
    if (missing > 0) throw rateLimited(database, perSecond, missing / rate)
    bucket.calls -= calls
  }
}

function rateLimited(database: string, perSecond: number, seconds: number): GatewayError {
  return new GatewayError(
    'rate_limited',
    `The tenant may make ${perSecond} calls a second (calls_per_second); the call has not run`,
    { database, may_have_run: false, retry_after_s: Math.ceil(seconds) },
  )
}

/** Returns the error for the caller of a tenant: tenant_read_only where only that caused it. */
export function explainLimits(error: unknown, limits: Restrictions | undefined): unknown {
  if (!limits?.isReadOnly || !(error instanceof GatewayError)) return error
  const { code, message, details, status } = error
  if (details.sqlstate === READ_ONLY_SQL_TRANSACTION) {
    const told = `The tenant is read-only, and the function writes: ${message}`
    return new GatewayError('tenant_read_only', told, { ...details, may_have_run: false })
  }
  if (details.sqlstate !== INVALID_TRANSACTION_TERMINATION) return error
  const hint =
    'A procedure of a read-only tenant runs inside one transaction, and cannot COMMIT or ROLLBACK'
  return new GatewayError(code, message, { ...details, hint }, status)
}

/** Replaces the errors of single calls of a batch as `explainLimits` does. */
export function explainResults(
  results: BatchResult['results'],
  limits: Restrictions,
): BatchResult['results'] {
  return results.map((one) =>
    one instanceof GatewayError ? (explainLimits(one, limits) as GatewayError) : one,
  )
}
