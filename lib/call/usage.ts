import { GatewayError } from '../errors.ts'
import type { Row } from '../postgres/session/query.ts'
import { countCall, countError, countTime, type UsageCounters } from '../usage/counters.ts'
import type { CallParts, CallToRun } from './run/call-to-run.ts'
import { followTenant } from './run/moved.ts'
import type { Rows } from './run/result.ts'
import type { BatchToRun } from './run/running-batch.ts'
import { bytesOf, type RowSink } from './run/stream.ts'
import { explainLimits } from './tenant-gate.ts'

/**
 * Returns the call of a renamed tenant under its new name, see `followTenant`. Counts the error of
 * any other call, after `bytes` of its rows, and throws it.
 */
export async function followCounted(
  usage: UsageCounters,
  call: CallToRun,
  error: unknown,
  bytes = 0,
): Promise<CallToRun> {
  try {
    const moved = await followTenant(call, explainLimits(error, call.restrictions))
    return { ...moved, held: undefined }
  } catch (told) {
    countError(call.held ?? usage.of(call.database), bytes)
    throw told
  }
}

/** Returns a sink that counts the bytes of the rows that it passes on. */
export function countedSink(sink: RowSink): RowSink & { bytes: number } {
  const counted = {
    bytes: 0,
    begin: (columns: string[]) => sink.begin(columns),
    write(rows: Row[]) {
      counted.bytes += bytesOf(rows)
      return sink.write(rows)
    },
  }
  return counted
}

/**
 * Counts the calls of a batch that has ended, and divides the time for which it held sessions.
 * @param results undefined if the batch failed as a whole
 */
export function countBatch(
  { usage, functions }: Pick<CallParts, 'usage' | 'functions'>,
  { database, calls, held }: Pick<BatchToRun, 'database' | 'calls'> & { held: { ms: number } },
  results: (Rows | GatewayError)[] | undefined,
): void {
  const times = divideTime(
    calls.map((_, i) => tookMs(results?.[i])),
    held.ms,
  )
  for (const [i, { name }] of calls.entries()) {
    // Names that no function has would fill the table.
    const isKnown = (functions.peek(database, name)?.length ?? 0) > 0
    const entry = usage.of(database, isKnown ? name : undefined)
    const result = results?.[i]
    if (result && !(result instanceof GatewayError)) countCall(entry, result.rows.length)
    else countError(entry)
    countTime(entry, times[i]!)
  }
}

function tookMs(result: Rows | GatewayError | undefined): number | undefined {
  return result instanceof GatewayError ? undefined : result?.tookMs
}

/**
 * Divides the time of a batch: each call gets what PostgreSQL says it took, and the rest goes in
 * equal parts to the calls of which it says nothing, or to all if there is none.
 */
export function divideTime(took: (number | undefined)[], ms: number): number[] {
  const known = took.reduce<number>((sum, one) => sum + (one ?? 0), 0)
  // Clocks differ: the parts must not be more than the whole.
  const scale = known > ms ? ms / known : 1
  const unknown = took.filter((one) => one === undefined).length
  const rest = (ms - known * scale) / (unknown || took.length)
  return took.map((one) => (one === undefined ? rest : one * scale + (unknown === 0 ? rest : 0)))
}
