import { GatewayError } from '../errors.ts'
import type { Gateway } from '../gateway.ts'
import {
  endsConnection,
  fromPostgres,
  isPostgresError,
  isStatementGone,
} from '../postgres/errors.ts'
import type { Lease } from '../postgres/lease.ts'
import type { Client, Pools } from '../postgres/pools.ts'
import { timingOf } from './alone.ts'
import type { CallResult } from './call.ts'
import { mayBeStale } from './current.ts'
import type { BoundCall } from './parameters.ts'
import type { Session } from './request.ts'
import { runCall } from './run.ts'
import { enter } from './session-state.ts'
import { type Signature, sharedMs } from './signature.ts'
import { Watch } from './watch.ts'

/** A call that may be one that only reads. */
export interface ReadRequest {
  name: string
  /** Chooses the function among its overloads, and binds its arguments. */
  bind: (known: Signature[]) => BoundCall
  timeoutMs?: number | undefined
  session?: Session | undefined
}

/**
 * Classes of SQLSTATEs of what another server may do: an unlogged table (0A), a function that writes
 * (25), a conflict with what is being replayed (40), resources (53), recovery itself (55), a
 * shutdown (57P), a disk (58), damage (XX). PostgreSQL manual, "Hot Standby".
 */
const NOT_ON_REPLICA = /^(?:0A|25|40|53|55|57P|58|XX)/

/** Those of what no replica can do at any time. */
const NEVER_ON_REPLICA = /^(?:0A|25)/

/** Overloads of which some did what no replica can do; who reads them anew tries again. */
const refused = new WeakSet<Signature[]>()

/**
 * Runs a call of a function that is STABLE or IMMUTABLE on a replica. Undefined where it is the
 * primary's: the function may write, no replica is current, or the replica could not do it. Nothing
 * is left of a call that failed on a replica, which cannot write.
 * @throws {GatewayError} as `callFunction`, but for what the primary may do
 */
export async function callOnReplica(
  gateway: Gateway,
  client: Client,
  database: string,
  request: ReadRequest,
): Promise<CallResult | undefined> {
  const { replicas, signatures } = gateway
  const known = signatures.peek(database, request.name)
  if (!replicas || (known && !mayRead(known))) return undefined
  const pools = replicas.pick(database)
  if (!pools) return undefined
  const current = known ?? (await readSignatures(gateway, client, database, request.name))
  const call = bindRead(current, request)
  if (!call) return undefined
  try {
    return await run(gateway, client, pools, database, call, request)
  } catch (error) {
    if (!(error instanceof NotHere)) throw error
    replicas.fail(pools, error.cause)
    if (isNever(error.cause)) refused.add(current)
    return undefined
  }
}

/** The replica could not do it: the primary may. */
class NotHere extends Error {
  constructor(cause: unknown) {
    super('Not on this replica', { cause })
  }
}

/** The client, and whether it has gone away. */
class Relay implements Client {
  onGone: (() => void) | undefined
  isGone = false

  constructor(client: Client) {
    client.onGone = () => {
      this.isGone = true
      this.onGone?.()
    }
  }
}

function mayRead(known: Signature[]): boolean {
  return known.some(({ isReadOnly }) => isReadOnly) && !refused.has(known)
}

/** As they are on the primary: a replica may be behind. */
async function readSignatures(
  { pools, signatures }: Gateway,
  client: Client,
  database: string,
  name: string,
): Promise<Signature[]> {
  try {
    return await pools.use(database, (sql) => signatures.get(sql, database, name), { client })
  } catch (error) {
    throw fromPostgres(error, database)
  }
}

/** Undefined where it may write, and where it does not fit: maybe what is known is stale. */
function bindRead(known: Signature[], { bind }: ReadRequest): BoundCall | undefined {
  try {
    const call = bind(known)
    return call.signature.isReadOnly ? call : undefined
  } catch (error) {
    if (error instanceof GatewayError) return undefined
    throw error
  }
}

/** @throws {NotHere} and what the function raised */
async function run(
  { config }: Gateway,
  client: Client,
  pools: Pools,
  database: string,
  call: BoundCall,
  { session, timeoutMs }: ReadRequest,
): Promise<CallResult> {
  const askedAt = performance.now()
  const relay = new Relay(client)
  let lease: Lease | undefined
  let watch: Watch | undefined
  try {
    lease = await leaseFor(pools, relay, database, call, session)
    watch = new Watch(relay, lease, timeoutMs)
    enter(lease.connection, call.signature)
    const rows = await runCall(lease.sql, call, config.maxResultBytes, watch, session)
    const timing = timingOf(askedAt, lease)
    lease.release()
    return { ...rows, ...timing }
  } catch (error) {
    if (lease && isStatementGone(error)) lease.connection.isSpent = true
    lease?.release(error)
    const isOver = relay.isGone || watch?.isOver
    if (!isOver && (isOfReplica(error) || watch?.wasHitByAnother(error))) throw new NotHere(error)
    throw fromPostgres(watch?.explain(error) ?? error, database)
  } finally {
    watch?.end()
    client.onGone = undefined
  }
}

function leaseFor(
  pools: Pools,
  client: Client,
  database: string,
  { signature }: BoundCall,
  session: Session | undefined,
): Lease | Promise<Lease> {
  const expectedMs = sharedMs(signature)
  if (session || expectedMs === undefined) return pools.lease(database, { client })
  return pools.share(database, expectedMs, { client })
}

function isNever(error: unknown): boolean {
  return isPostgresError(error) && NEVER_ON_REPLICA.test(error.code)
}

/** Whether it is not the function's own error, so that the primary may do better. */
function isOfReplica(error: unknown): boolean {
  if (error instanceof GatewayError) {
    return mayBeStale(error, []) || ['connection_failed', 'pool_exhausted'].includes(error.code)
  }
  if (isStatementGone(error)) return true
  return endsConnection(error) || (isPostgresError(error) && NOT_ON_REPLICA.test(error.code))
}
