import { GatewayError } from '../errors.ts'
import type { Owner } from './names.ts'
import { describeOwner } from './owner-identity.ts'

/** Error that the calls of a suspended tenant get. */
export interface Suspension {
  /** Message of the error; null for the default message. */
  message: string | null
  /** Value of the Retry-After header, in seconds. */
  retryAfterS: number
}

/** Retry-After of a suspension that sets none, in seconds. */
export const DEFAULT_RETRY_AFTER_S = 60

/** Returns the error of a call to a suspended tenant. */
export function suspended(
  owner: Owner & { database: string },
  { message, retryAfterS }: Suspension,
): GatewayError {
  return new GatewayError('tenant_suspended', message ?? `${describeOwner(owner)} is suspended`, {
    database: owner.database,
    retry_after_s: retryAfterS,
  })
}
