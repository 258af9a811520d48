import { GatewayError } from '../errors.ts'
import type { Connection } from '../postgres/connection.ts'
import { isPostgresError } from '../postgres/errors.ts'
import type { Signature } from './signature.ts'
import type { Signatures } from './signatures.ts'

/** How often a function may be replaced while one call of it is on its way. */
export const MAX_RENEWALS = 5

/** SQLSTATE of a function that writes although it was said to be STABLE. */
const READ_ONLY_TRANSACTION = '25006'

/** The call did not start, or was rolled back: maybe the function is not as it was last seen. */
export function mayBeStale(error: unknown, known: Signature[]): boolean {
  // A procedure, which may have committed before, is never read-only.
  if (isPostgresError(error)) {
    return error.code === READ_ONLY_TRANSACTION && known.some(({ isReadOnly }) => isReadOnly)
  }
  const codes: unknown[] = ['function_not_found', 'invalid_request', 'method_not_allowed']
  return error instanceof GatewayError && codes.includes(error.code)
}

export function isSame(a: Signature[], b: Signature[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/**
 * Runs a call of a function as it is now: one that was replaced meanwhile does not run, its
 * overloads are read anew, and `run` is tried again.
 * @throws what `run` throws; function_not_found where there is no such function (any more)
 */
export async function runCurrent<T>(
  signatures: Signatures,
  connection: Connection,
  name: string,
  run: (known: Signature[]) => Promise<T>,
): Promise<T> {
  let known = await signatures.get(connection.sql, connection.database, name)
  for (let renewals = 0; ; renewals++) {
    try {
      return await run(known)
    } catch (error) {
      if (!mayBeStale(error, known) || renewals === MAX_RENEWALS) throw error
      const current = await signatures.renew(connection, name, known)
      if (isSame(known, current)) throw error
      known = current
    }
  }
}
