import type { GatewayError } from '../../errors.ts'
import { bindCall } from '../bind/parameters.ts'
import type { Timing } from './attempt.ts'
import type { CallParts } from './call-to-run.ts'
import { bindCurrent } from './current.ts'
import { eachByItself } from './each-by-itself.ts'
import { inExclusiveSession } from './exclusive-session.ts'
import { inOneTransaction } from './one-transaction.ts'
import type { Rows } from './result.ts'
import type { BatchToRun, RunningBatch } from './running-batch.ts'

/** What each call gave, in their order. */
export interface BatchResult extends Timing {
  results: (Rows | GatewayError)[]
}

/**
 * Runs calls in one session, sent one right behind the other: all or nothing, or each by itself.
 * @throws {GatewayError} pool_exhausted, connection_failed; of a transaction, as `runCall`
 */
export function runBatch(parts: CallParts, batch: BatchToRun): Promise<BatchResult> {
  const bind = (place: number) => {
    const { name, params } = batch.calls[place]!
    return bindCurrent(parts, {
      ...batch,
      name,
      bind: (overloads) => bindCall(name, overloads, params),
    })
  }
  return inExclusiveSession<{ results: (Rows | GatewayError)[] }>(
    parts.pools,
    batch,
    async (exclusive) => {
      const running: RunningBatch = { ...batch, parts, exclusive, bind }
      const run = batch.isTransaction ? inOneTransaction : eachByItself
      return { results: await run(running) }
    },
  )
}
