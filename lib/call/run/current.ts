import { GatewayError } from '../../errors.ts'
import type { BoundCall } from '../bind/parameters.ts'
import type { LoadOptions } from '../signatures/known-functions.ts'
import type { Signature } from '../signatures/signature.ts'
import type { CallParts, CallToRun } from './call-to-run.ts'
import { lostCall } from './failures.ts'

/** Maximum number of times that functions may be replaced during one call, batch or stream. */
export const MAX_RENEWALS = 5

/** Codes of binding errors that a stale cached signature may cause. */
const MAY_BE_STALE: unknown[] = ['function_not_found', 'invalid_request', 'method_not_allowed']

/** The part of a call that is needed to bind it. */
export type CallToBind = Pick<
  CallToRun,
  'client' | 'database' | 'name' | 'bind' | 'limit' | 'numbersAsText'
>

/** A bound call with the overloads that it was chosen from. */
export interface CurrentCall extends BoundCall {
  overloads: Signature[]
}

/**
 * Binds a call to the current signature: synchronously, if its functions are known and its values
 * short. If the call does not fit the cached signature, compares the schema version and, if it
 * changed, reads the schema again and retries. May need a connection, so the caller must hold none.
 * @throws {GatewayError} rejects with function_not_found, invalid_request; what `call.bind` throws
 */
export function bindCurrent(
  parts: CallParts,
  call: CallToBind,
): CurrentCall | Promise<CurrentCall> {
  const known = parts.functions.peek(call.database, call.name)
  if (known && known.length > 0) return bindTo(parts, call, known)
  return lookUp(parts.functions, call).then((overloads) => bindTo(parts, call, overloads))
}

function bindTo(
  parts: CallParts,
  call: CallToBind,
  overloads: Signature[],
): CurrentCall | Promise<CurrentCall> {
  const { numbersAsText } = call
  try {
    const bound = call.bind(overloads)
    if (!(bound instanceof Promise)) return currentCall(bound, overloads, numbersAsText)
    return bound.then(
      (slowly) => currentCall(slowly, overloads, numbersAsText),
      (error) => bindAnew(parts, call, overloads, error),
    )
  } catch (error) {
    return bindAnew(parts, call, overloads, error)
  }
}

function currentCall(
  { signature, parameters }: BoundCall,
  overloads: Signature[],
  numbersAsText: boolean,
): CurrentCall {
  return { signature, parameters, numbersAsText, overloads }
}

/** Binds a call again if its error may come from overloads that have changed meanwhile. */
async function bindAnew(
  parts: CallParts,
  call: CallToBind,
  overloads: Signature[],
  error: unknown,
): Promise<CurrentCall> {
  if (!mayBeStale(error) || !(await isStale(parts, call, { overloads }))) throw error
  return bindCurrent(parts, call)
}

/** @throws {GatewayError} connection_failed, saying that the function has not run */
async function lookUp(functions: CallParts['functions'], call: CallToBind): Promise<Signature[]> {
  const { database, name } = call
  try {
    return await functions.get(database, name, lookUpOf(call))
  } catch (error) {
    throw lostCall(error, database, false)
  }
}

/**
 * Returns whether the cached overloads that a call was bound to were stale. If so, the cache has
 * been updated.
 */
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
