import { GatewayError } from '../../errors.ts'
import type { BoundCall } from '../bind/parameters.ts'
import type { LoadOptions } from '../signatures/known-functions.ts'
import type { Signature } from '../signatures/signature.ts'
import type { CallParts, CallToRun } from './call-to-run.ts'
import { lostCall } from './failures.ts'

/** Errors of a call that may fit the functions as they are by now. */
const MAY_BE_STALE: unknown[] = ['function_not_found', 'invalid_request', 'method_not_allowed']

/** A call, as far as it says which function it means. */
export type CallToBind = Pick<
  CallToRun,
  'client' | 'database' | 'name' | 'bind' | 'limit' | 'numbersAsText'
>

/** A call, and the functions of its name that it was bound to one of. */
export interface CurrentCall extends BoundCall {
  overloads: Signature[]
}

/**
 * Binds a call to the function as it is now; what is known of the functions is read anew where the
 * call does not fit it and it is not so any more. It may need a connection: the caller holds none.
 * @throws {GatewayError} function_not_found, invalid_request; what `call.bind` throws
 */
export async function bindCurrent(parts: CallParts, call: CallToBind): Promise<CurrentCall> {
  const { functions } = parts
  const { database, name, bind, numbersAsText } = call
  for (;;) {
    const known = functions.peek(database, name)
    const overloads = known && known.length > 0 ? known : await lookUp(functions, call)
    try {
      return Object.assign(await bind(overloads), { overloads, numbersAsText })
    } catch (error) {
      if (!mayBeStale(error) || !(await isStale(parts, call, { overloads }))) throw error
    }
  }
}

/** @throws {GatewayError} connection_failed, which says that the function has not run */
async function lookUp(functions: CallParts['functions'], call: CallToBind): Promise<Signature[]> {
  const { database, name } = call
  try {
    return await functions.get(database, name, lookUpOf(call))
  } catch (error) {
    throw lostCall(error, database, false)
  }
}

/** Whether a function that a call was bound to is not as it was known; by now it is. */
export function isStale(
  { functions }: CallParts,
  call: CallToBind,
  { overloads }: Pick<CurrentCall, 'overloads'>,
): Promise<boolean> {
  return functions.stale(call.database, call.name, overloads, lookUpOf(call))
}

function lookUpOf({ client, limit }: CallToBind): LoadOptions {
  return { client, deadline: limit?.deadline }
}

function mayBeStale(error: unknown): boolean {
  return error instanceof GatewayError && MAY_BE_STALE.includes(error.code)
}
