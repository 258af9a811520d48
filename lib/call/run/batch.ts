import type { CallParts } from './call-to-run.ts'
import { eachByItself } from './each-by-itself.ts'
import { inOneTransaction } from './one-transaction.ts'
import type { BatchResult, BatchToRun } from './running-batch.ts'

/**
 * Runs the calls of a batch in one session, pipelined: in one transaction or each in its own.
 * @throws {GatewayError} pool_exhausted, connection_failed; for a transaction also as `runCall`
 */
export function runBatch(parts: CallParts, batch: BatchToRun): Promise<BatchResult> {
  return batch.isTransaction ? inOneTransaction(parts, batch) : eachByItself(parts, batch)
}
