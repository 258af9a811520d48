import { GatewayError } from '../errors.ts'
import type { Gateway } from '../gateway.ts'
import type { Connection, Sql } from '../postgres/connection.ts'
import { endsConnection } from '../postgres/errors.ts'
import type { Client } from '../postgres/pools.ts'
import { allOrNothing } from './all-or-nothing.ts'
import { alone, type Timing } from './alone.ts'
import type { BatchRequest } from './batch-request.ts'
import { eachByItself } from './each-by-itself.ts'
import { Functions } from './functions.ts'
import { failed, LostCall } from './lost.ts'
import type { Rows } from './run.ts'
import type { Watch } from './watch.ts'

/** A batch on its connection. */
export interface Batch extends BatchRequest {
  connection: Connection
  sql: Sql
  database: string
  functions: Functions
  watch: Watch
  /** Of the rows of all calls together. */
  maxBytes: number
}

/** What each call gave, in their order. */
export interface BatchResult extends Timing {
  results: (Rows | GatewayError)[]
}

/**
 * Runs calls over one connection of their own, sent one right behind the other: all or nothing, or
 * each by itself.
 * @throws {GatewayError} pool_exhausted, connection_failed; of a transaction, as `callFunction`
 */
export function callBatch(
  gateway: Gateway,
  client: Client,
  database: string,
  request: BatchRequest,
): Promise<BatchResult> {
  const { signatures, config } = gateway
  return alone(gateway, client, database, request.timeoutMs, async (lease, watch) => {
    const { connection, sql } = lease
    const functions = new Functions(signatures, connection)
    await functions.read(request.calls.map(({ name }) => name))
    watch.stopIfGone()
    const maxBytes = config.maxResultBytes
    const batch = { ...request, connection, sql, database, functions, watch, maxBytes }
    if (request.isTransaction) return { results: await allOrNothing(batch) }

    const outcomes = await eachByItself(batch)
    const errors = outcomes.map((one) => (one.status === 'rejected' ? one.reason : undefined))
    // Without an answer to any of them, nobody was there.
    if (errors.every(endsConnection)) throw errors[0]
    lease.release(errors.find(endsConnection))
    return { results: outcomes.map((outcome) => resultOf(batch, outcome)) }
  })
}

function resultOf(
  { watch, database }: Batch,
  outcome: PromiseSettledResult<Rows>,
): Rows | GatewayError {
  if (outcome.status === 'fulfilled') return outcome.value
  const error = failed(outcome.reason, database, watch)
  if (error instanceof LostCall) return error.told
  if (error instanceof GatewayError) return error
  throw error
}
