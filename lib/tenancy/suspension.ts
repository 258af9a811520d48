import { GatewayError } from '../errors.ts'
import type { Owner } from './names.ts'
import { describeOwner } from './owner-identity.ts'

/** What calls of a tenant are answered that is suspended. */
export interface Suspension {
  /** Null: that it is suspended. */
  message: string | null
  /** Seconds, for Retry-After. */
  retryAfterS: number
}

/** Where nobody says it. */
export const DEFAULT_RETRY_AFTER_S = 60

/** Why a call of a suspended tenant does not run. */
export function suspended(
  owner: Owner & { database: string },
  { message, retryAfterS }: Suspension,
): GatewayError {
  return new GatewayError('tenant_suspended', message ?? `${describeOwner(owner)} is suspended`, {
    database: owner.database,
    retry_after_s: retryAfterS,
  })
}
