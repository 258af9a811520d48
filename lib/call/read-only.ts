import { GatewayError } from '../errors.ts'
import type { Gateway } from '../gateway.ts'
import type { Client } from '../postgres/pools.ts'
import { alone } from './alone.ts'
import type { CallResult } from './call.ts'
import { runCurrent } from './current.ts'
import { callOnReplica } from './on-replica.ts'
import { type BoundCall, bindCall, type Parameters } from './parameters.ts'
import type { CallRequest, Session } from './request.ts'
import { runCall } from './run.ts'
import { enter } from './session-state.ts'
import type { Signature } from './signature.ts'
import { bindTexts, chooseByNames, type UrlParameters } from './url-parameters.ts'

/** A call in a transaction of its own needs none. */
const NO_SETTINGS: Session = []

/** A call of a function that only reads, with its parameters from JSON or from a URL. */
export type ReadOnlyCall = Pick<CallRequest, 'name'> &
  Partial<Omit<CallRequest, 'name' | 'params'>> & { params: Parameters | UrlParameters }

/**
 * Runs a function that is STABLE or IMMUTABLE, in a read-only transaction: not even one that is not
 * what it says of itself can write.
 * @throws {GatewayError} method_not_allowed for a function that may write; all others as
 *   `callFunction`
 */
export async function callReadOnly(
  gateway: Gateway,
  client: Client,
  database: string,
  { name, params, timeoutMs, session, primary }: ReadOnlyCall,
): Promise<CallResult> {
  const { signatures, config } = gateway
  const bind = (known: Signature[]): BoundCall => bindReadOnly(name, known, params)
  if (!primary) {
    // A replica needs no transaction for it: it cannot write.
    const request = { name, bind, timeoutMs, session }
    const result = await callOnReplica(gateway, client, database, request)
    if (result) return result
  }
  return alone(gateway, client, database, timeoutMs, ({ connection, sql }, watch) => {
    watch.isReadOnly = true
    return runCurrent(signatures, connection, name, async (known) => {
      const call = bind(known)
      watch.stopIfGone()
      enter(connection, call.signature)
      return runCall(sql, call, config.maxResultBytes, watch, session ?? NO_SETTINGS)
    })
  })
}

function bindReadOnly(
  name: string,
  known: Signature[],
  params: Parameters | UrlParameters,
): BoundCall {
  if (params instanceof Map) {
    const signature = chooseByNames(name, known, params)
    if (!signature.isReadOnly) throw mayWrite(signature)
    return bindTexts(signature, params)
  }
  const call = bindCall(name, known, params)
  if (!call.signature.isReadOnly) throw mayWrite(call.signature)
  return call
}

function mayWrite({ kind, text }: Signature): GatewayError {
  return new GatewayError(
    'method_not_allowed',
    kind === 'procedure'
      ? `${text} is a procedure: call it with POST /call`
      : `Function ${text} is VOLATILE, it may change data: call it with POST /call, or declare it ` +
          'STABLE',
  )
}
