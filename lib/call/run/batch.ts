import type { CallParts } from './call-to-run.ts'
import { eachByItself } from './each-by-itself.ts'
import { inOneTransaction } from './one-transaction.ts'
import type { BatchResult, BatchToRun } from './running-batch.ts'

/**
 * Runs calls in one session, sent one right behind the other: all or nothing, or each by itself.
 * @throws {GatewayError} pool_exhausted, connection_failed; of a transaction, as `runCall`
 */
export function runBatch(parts: CallParts, batch: BatchToRun): Promise<BatchResult> {
  return batch.isTransaction ? inOneTransaction(parts, batch) : eachByItself(parts, batch)
}
