import { GatewayError } from '../errors.ts'
import type { Gateway } from '../gateway.ts'
import type { Client } from '../postgres/pools.ts'
import { alone } from './alone.ts'
import type { BoundCall } from './bind/parameters.ts'
import { bindTexts, chooseByNames, type UrlParameters } from './bind/url-parameters.ts'
import type { CallResult } from './call.ts'
import { runCurrent } from './current.ts'
import { callOnReplica } from './on-replica.ts'
import type { Session } from './request.ts'
import { runCall } from './run.ts'
import { enter } from './session-state.ts'
import type { Signature } from './signature.ts'

/** A call in a transaction of its own needs none. */
const NO_SETTINGS: Session = []

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
  name: string,
  params: UrlParameters,
): Promise<CallResult> {
  const { signatures, config } = gateway
  const bind = (known: Signature[]): BoundCall | Promise<BoundCall> => {
    const signature = chooseByNames(name, known, params)
    if (!signature.isReadOnly) throw mayWrite(signature)
    return bindTexts(signature, params)
  }
  // A replica needs no transaction for it: it cannot write.
  const result = await callOnReplica(gateway, client, database, { name, bind })
  if (result) return result
  return alone(gateway, client, database, undefined, ({ connection, sql }, watch) => {
    watch.isReadOnly = true
    return runCurrent(signatures, connection, name, async (known) => {
      const call = await bind(known)
      enter(connection, call.signature)
      return runCall(sql, call, config.maxResultBytes, watch, NO_SETTINGS)
    })
  })
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
