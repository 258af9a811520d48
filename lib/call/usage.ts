import { GatewayError } from '../errors.ts'
import type { Client } from '../postgres/pools/waiter.ts'
import type { Row } from '../postgres/session/query.ts'
import { MovedAway } from '../tenancy/catalog/moved-away.ts'
import { countCall, countError, countTime, settleTime } from '../usage/counters.ts'
import { maskPlans } from '../usage/slow/mask-plan.ts'
import type { SlowCalls } from '../usage/slow/slow-calls.ts'
import { toldCancelled } from './cancelled.ts'
import type { CallParts, CallToRun } from './run/call-to-run.ts'
import { phasesOf } from './run/marks.ts'
import { followTenant } from './run/moved.ts'
import type { Rows } from './run/result.ts'
import type { BatchToRun } from './run/running-batch.ts'
import { bytesOf, type RowSink } from './run/stream.ts'
import { explainLimits } from './tenant-gate.ts'

/** The rows of an answer. */
interface Answered {
  rows: number
  bytes: number
}

/** The parts that count calls. */
type Counting = Pick<CallParts, 'usage'>

/** Counts a call that was answered. */
export function countDone(parts: Counting, call: CallToRun, answered: Answered): void {
  countCall(call.entry!, answered.bytes)
  countEnd(parts, call, answered, undefined)
}

/**
 * Returns the call of a renamed tenant under its new name, see `followTenant`. Counts the error of
 * any other call, after some of its rows, and throws it.
 */
export async function followCounted(
  parts: Counting,
  call: CallToRun,
  error: unknown,
  answered: Answered = { rows: 0, bytes: 0 },
): Promise<CallToRun> {
  try {
    const moved = await followTenant(call, explainLimits(error, call.restrictions))
    return { ...moved, held: { ms: 0, into: undefined }, entry: undefined }
  } catch (told) {
    // It runs on the other server, where it is counted.
    if (told instanceof MovedAway) throw told
    countError(call.entry ?? parts.usage.counters.of(call.database), answered.bytes)
    countEnd(parts, call, answered, told)
    throw told
  }
}

function countEnd(
  { usage: { counters, times, slow } }: Counting,
  { client, database, name, entry, held, startedAt }: CallToRun,
  { rows, bytes }: Answered,
  error: unknown,
): void {
  settleTime(held, entry ?? counters.of(database))
  const ms = performance.now() - startedAt
  const isError = error !== undefined
  const known = entry && name
  times.calls.note(database, known, entry, { ms, heldMs: held.ms, rows, bytes, isError })
  if (ms < slow.slowMs) return
  noteSlow(slow, client, { database, name: known, ms, rows, bytes, error, isOneOfSeveral: false })
}

interface SlowOne extends Answered {
  database: string
  /** Undefined: no function that exists. */
  name: string | undefined
  ms: number
  error: unknown
  /** Whether it was one of several calls of a batch, whose phases and plans are of all of them. */
  isOneOfSeveral: boolean
}

function noteSlow(slow: SlowCalls, client: Client, one: SlowOne): void {
  const { database, name = null, ms, rows, bytes, error, isOneOfSeveral } = one
  const { waitMs, connectMs, queryMs } = phasesOf(client)
  const answered = toldCancelled(client, error)
  const told = answered instanceof GatewayError ? answered : undefined
  const { sqlstate } = told?.details ?? {}
  slow.note({
    database,
    function: name,
    request_id: client.requestId ?? null,
    ms: hundredths(ms),
    wait_ms: hundredths(waitMs),
    connect_ms: hundredths(connectMs),
    query_ms: hundredths(isOneOfSeveral ? ms : queryMs),
    rows,
    bytes,
    sqlstate: typeof sqlstate === 'string' ? sqlstate : null,
    error: told?.code ?? (error === undefined ? null : 'internal_error'),
    plan: isOneOfSeveral ? null : maskPlans(client.plans),
  })
}

function hundredths(ms: number): number {
  return Math.round(ms * 100) / 100
}

/** Returns a sink that counts the rows that it passes on. */
export function countedSink(sink: RowSink): RowSink & Answered {
  const counted = {
    rows: 0,
    bytes: 0,
    begin: (columns: string[]) => sink.begin(columns),
    write(rows: Row[]) {
      counted.rows += rows.length
      counted.bytes += bytesOf(rows)
      return sink.write(rows)
    },
  }
  return counted
}

interface HeldBatch {
  ms: number
  /** `performance.now()` when the batch began. */
  startedAt: number
}

/** Counts the calls of a batch that failed as a whole. */
export function countFailedBatch(
  parts: Parameters<typeof countBatch>[0],
  batch: Parameters<typeof countBatch>[1],
  error: unknown,
): void {
  countBatch(
    parts,
    batch,
    batch.calls.map(() => error),
  )
}

/**
 * Counts the calls of a batch that has ended, and divides the time for which it held sessions. A
 * call of several took its part of that time, a single one all the time since it began.
 * @param results what each call gave: its rows, or its error
 */
export function countBatch(
  parts: Counting & Pick<CallParts, 'functions'>,
  batch: Pick<BatchToRun, 'client' | 'database' | 'calls'> & { held: HeldBatch },
  results: unknown[],
): void {
  const { functions, usage } = parts
  const { counters, times, slow } = usage
  const { client, database, calls, held } = batch
  const parted = divideTime(results.map(tookMs), held.ms)
  const isOneOfSeveral = calls.length > 1
  for (const [i, { name }] of calls.entries()) {
    // Names that no function has would fill the table.
    const known = (functions.peek(database, name)?.length ?? 0) > 0 ? name : undefined
    const entry = counters.of(database, known)
    const result = results[i]
    const heldMs = parted[i]!
    const isError = !isRows(result)
    const rows = isError ? 0 : result.rowCount
    const bytes = isError ? 0 : result.rows.length
    if (isError) countError(entry)
    else countCall(entry, bytes)
    countTime(entry, heldMs)
    const ms = isOneOfSeveral ? heldMs : performance.now() - held.startedAt
    times.calls.note(database, known, entry, { ms, heldMs, rows, bytes, isError })
    if (ms < slow.slowMs) continue
    const error = isError ? result : undefined
    noteSlow(slow, client, { database, name: known, ms, rows, bytes, error, isOneOfSeveral })
  }
}

function isRows(result: unknown): result is Rows {
  return typeof result === 'object' && result !== null && 'rowCount' in result
}

function tookMs(result: unknown): number | undefined {
  return isRows(result) ? result.tookMs : undefined
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
