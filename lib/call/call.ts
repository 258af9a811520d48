import { GatewayError } from '../errors.ts'
import type { Gateway } from '../gateway.ts'
import { isStatementGone } from '../postgres/errors.ts'
import type { Lease } from '../postgres/lease.ts'
import type { Client } from '../postgres/pools.ts'
import { alone, type Timing, timingOf } from './alone.ts'
import { mayBeStale, runCurrent } from './current.ts'
import { explain } from './explain.ts'
import { giveBack } from './give-back.ts'
import { failed, LostCall } from './lost.ts'
import { callOnReplica } from './on-replica.ts'
import { type BoundCall, bindCall } from './parameters.ts'
import { runProcedure } from './procedure.ts'
import type { CallRequest } from './request.ts'
import { callQuery, type Rows, readResult, runCall } from './run.ts'
import { enter } from './session-state.ts'
import { type Signature, sharedMs } from './signature.ts'
import type { Signatures } from './signatures.ts'
import { Watch } from './watch.ts'

/** The rows of a call, and how long it took to get them. */
export interface CallResult extends Rows, Timing {}

/**
 * Runs `select * from name(params)` in the database. A call of a function that has shown itself
 * quick shares a connection with others; all others have one of their own. It is cancelled when
 * its time is up or its client has gone away.
 * @throws {GatewayError} function_not_found, invalid_request for a value that does not convert,
 *   query_failed and query_timeout for what the function raised, result_too_large, pool_exhausted,
 *   connection_failed
 */
export async function callFunction(
  gateway: Gateway,
  client: Client,
  database: string,
  call: CallRequest,
): Promise<CallResult> {
  if (gateway.replicas && !call.primary) {
    const bind = (known: Signature[]) => bindCall(call.name, known, call.params)
    const result = await callOnReplica(gateway, client, database, { ...call, bind })
    if (result) return result
  }
  const quick = bindQuick(gateway.signatures, database, call)
  if (!quick) return callAlone(gateway, client, database, call)

  const { maxResultBytes } = gateway.config
  const askedAt = performance.now()
  const place = gateway.pools.share(database, sharedMs(quick.signature) ?? 0, { client })
  const lease = place instanceof Promise ? await place : place
  const watch = new Watch(client, lease, call.timeoutMs)
  watch.isReadOnly = quick.signature.isReadOnly
  let lost: LostCall | undefined
  try {
    const query = callQuery(lease.sql, quick, maxResultBytes)
    watch.over([query])
    const { rows, rowCount } = readResult(quick, await query, maxResultBytes)
    const timing = timingOf(askedAt, lease)
    giveBack(gateway, lease)
    return { rows, rowCount, ...timing }
  } catch (error) {
    // It asks PostgreSQL, and may lose the connection then.
    const told = await explain(lease.sql, quick, error).catch((lost) => lost)
    if (isStatementGone(told)) lease.connection.isSpent = true
    lease.release(told)
    // It has not run, or was rolled back for somebody else's sake: it may run again.
    if (!mayBeStale(told, [quick.signature]) && !watch.wasHitByAnother(error)) {
      const failure = failed(told, database, watch)
      if (!(failure instanceof LostCall)) throw failure
      if (!failure.mayRunAgain) throw failure.told
      lost = failure
    }
  } finally {
    watch.end()
  }
  return callAlone(gateway, client, database, call, lost)
}

/** The call of a function that is known, takes these parameters, and may share a connection. */
function bindQuick(
  signatures: Signatures,
  database: string,
  call: CallRequest,
): BoundCall | undefined {
  const known = signatures.peek(database, call.name)
  if (!known || call.session || !known.some((one) => sharedMs(one) !== undefined)) return undefined
  try {
    const bound = bindCall(call.name, known, call.params)
    return sharedMs(bound.signature) === undefined ? undefined : bound
  } catch (error) {
    // What is known may be stale: whoever calls it alone finds out.
    if (error instanceof GatewayError) return undefined
    throw error
  }
}

function callAlone(
  gateway: Gateway,
  client: Client,
  database: string,
  { name, params, session, timeoutMs }: CallRequest,
  lost?: LostCall,
): Promise<CallResult> {
  const { signatures, config } = gateway
  const work = ({ connection, sql }: Lease, watch: Watch) =>
    runCurrent(signatures, connection, name, async (known) => {
      const bound = bindCall(name, known, params)
      watch.isReadOnly = bound.signature.isReadOnly
      enter(connection, bound.signature)
      const run = bound.signature.kind === 'procedure' ? runProcedure : runCall
      return run(sql, bound, config.maxResultBytes, watch, session)
    })
  return alone(gateway, client, database, timeoutMs, work, lost)
}
