import { GatewayError } from '../../errors.ts'
import type { BoundCall } from '../bind/parameters.ts'
import type { CallParts, CallToRun } from './call-to-run.ts'

/** Errors of a call that may fit the functions as they are by now. */
const MAY_BE_STALE: unknown[] = ['function_not_found', 'invalid_request', 'method_not_allowed']

/**
 * Binds a call to the function as it is now; what is known of the functions is read anew where the
 * call does not fit it and it is not so any more.
 * @throws {GatewayError} function_not_found, invalid_request; what `call.bind` throws
 */
export async function bindCurrent(
  { functions }: CallParts,
  call: Pick<CallToRun, 'client' | 'database' | 'name' | 'bind' | 'limit'>,
): Promise<BoundCall> {
  const { client, database, name, bind, limit } = call
  for (;;) {
    try {
      const known = functions.peek(database, name)
      if (known && known.length > 0) return await bind(known)
      return await bind(await functions.get(database, name, { client, deadline: limit?.deadline }))
    } catch (error) {
      if (!mayBeStale(error) || !(await functions.stale(database, name))) throw error
    }
  }
}

function mayBeStale(error: unknown): boolean {
  return error instanceof GatewayError && MAY_BE_STALE.includes(error.code)
}
