import type { H3Event } from 'h3'
import { toldCancelled } from '../../call/cancelled.ts'
import type { Rows } from '../../call/run/result.ts'
import type { BatchResult } from '../../call/run/running-batch.ts'
import { GatewayError } from '../../errors.ts'
import { replayHeaders } from '../idempotency-key.ts'
import { answerJson } from './answer.ts'

/** Answers with the results of a batch; the rows stay bytes, as in `answerRows`. */
export function answerBatch(event: H3Event, result: BatchResult): void | Promise<void> {
  const totalMs = performance.now() - event.context.request.startedAt
  const { request } = event.context
  const { kept } = result
  let { results } = result
  if (request.client.isCancelled) {
    results = results.map((one) => toldCancelled(request.client, one) as typeof one)
    request.error = results.find(isError)?.code
  }
  const body = batchJson(results, kept?.tookMs ?? Math.round(totalMs))
  return answerJson(event, body, result, totalMs, replayHeaders(kept))
}

function isError(result: Rows | GatewayError): result is GatewayError {
  return result instanceof GatewayError
}

function batchJson(results: BatchResult['results'], ms: number): Buffer {
  const pieces: Buffer[] = []
  for (const result of results) {
    pieces.push(Buffer.from(pieces.length === 0 ? '{"results":[' : ','), ...resultJson(result))
  }
  return Buffer.concat([...pieces, Buffer.from(`],"execution_time_ms":${ms}}`)])
}

function resultJson(result: Rows | GatewayError): Buffer[] {
  if (isError(result)) {
    return [Buffer.from(JSON.stringify({ status: result.status, ...result.toJSON() }))]
  }
  const { rows, rowCount } = result
  return [Buffer.from('{"rows":'), rows, Buffer.from(`,"row_count":${rowCount}}`)]
}
