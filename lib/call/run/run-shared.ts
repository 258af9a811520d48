import { isQueryCanceled } from '../../postgres/errors.ts'
import type { Lease } from '../../postgres/pools/lease.ts'
import type { Query, QueryListener } from '../../postgres/session/query.ts'
import { Session } from '../../postgres/session/session.ts'
import { countTime } from '../../usage/counters.ts'
import type { AnswerBudget } from './answer-budget.ts'
import type { Outcome } from './attempt.ts'
import { isOfSharedMode } from './failures.ts'
import { markAsked, markLeased } from './marks.ts'
import { enterMode } from './mode.ts'
import { outcomeOfError } from './outcome-of-error.ts'
import type { PlacedCall } from './placed-call.ts'
import { type CallRows, readResult } from './result.ts'
import { type Progress, sendAlone, sendCall } from './send-call.ts'
import { sessionOf } from './session-of.ts'
import type { SharedCall } from './shared-calls.ts'

/** Outcome of a call that was overtaken and moves to another place. */
const OVERTAKEN: Outcome = { kind: 'not begun', error: undefined }

/**
 * Runs a call in a shared session, pipelined with other quick read-only calls. Where one is open, which
 * most calls find, nothing is made for a wait.
 */
export function runShared(call: PlacedCall): Promise<Outcome> {
  const { pools, client, database, expectedMs = 0 } = call
  const askedAt = markAsked(client)
  let place: Lease | Promise<Lease>
  try {
    place = pools.share(database, expectedMs, { client, deadline: call.limit?.deadline })
  } catch (error) {
    return Promise.resolve({ kind: 'refused', error })
  }
  if (place instanceof Promise) return sendLater(call, place, askedAt)
  const opened = sessionOf(place, call)
  return opened instanceof Session
    ? sendShared(call, place, opened, askedAt)
    : sendLater(call, place, askedAt, opened)
}

async function sendLater(
  call: PlacedCall,
  place: Lease | Promise<Lease>,
  askedAt: number,
  opening?: ReturnType<typeof sessionOf>,
): Promise<Outcome> {
  let lease: Lease
  try {
    lease = await place
  } catch (error) {
    return { kind: 'refused', error }
  }
  const opened = opening ?? sessionOf(lease, call)
  const session = opened instanceof Promise ? await opened : opened
  return 'kind' in session ? session : sendShared(call, lease, session, askedAt)
}

function sendShared(
  call: PlacedCall,
  lease: Lease,
  session: Session,
  askedAt: number,
): Promise<Outcome> {
  return new Promise((resolve) => {
    new SharedAttempt(call, lease, session, askedAt, resolve).send()
  })
}

/** A call in its shared session. It releases the session when its own answer has arrived. */
class SharedAttempt implements SharedCall, AnswerBudget, QueryListener {
  readonly #call: PlacedCall
  readonly #lease: Lease
  readonly #session: Session
  readonly #waitMs: number
  readonly #sentAt: number
  readonly #resolve: (outcome: Outcome) => void
  #isOvertaken = false

  constructor(
    call: PlacedCall,
    lease: Lease,
    session: Session,
    askedAt: number,
    resolve: (outcome: Outcome) => void,
  ) {
    this.#call = call
    this.#lease = lease
    this.#session = session
    this.#sentAt = markLeased(call.client)
    this.#waitMs = this.#sentAt - askedAt
    this.#resolve = resolve
  }

  send(): void {
    const { connection } = this.#lease
    enterMode(connection, this.#session, 'shared', this.#call.restrictions)
    this.#call.calls.add(connection, this)
    const budget = this.#call.budget && this
    if (sendAlone(this.#session, this.#call, budget, this)) return
    // The session itself is read-only.
    const sent = sendCall(this.#session, { ...this.#call, mustOnlyRead: false, budget })
    sent.rows.then(
      (rows) => this.#succeed(rows),
      (error) => this.#fail(sent.query, error),
    )
  }

  onSettled(query: Query, failure: Error | undefined): void {
    if (failure) {
      this.#fail(query, failure)
      return
    }
    let rows: CallRows
    try {
      rows = readResult(query.answer, this.#call.maxResultBytes)
    } catch (error) {
      this.#fail(query, error)
      return
    }
    this.#succeed(rows)
  }

  overtake(): void {
    this.#isOvertaken = true
    this.#resolve(OVERTAKEN)
  }

  /**
   * Never waits: a waiting answer would delay the other calls of the session, or end the session.
   */
  admit(bytes: number): true {
    this.take(bytes)
    return true
  }

  take(bytes: number): void {
    if (!this.#isOvertaken) this.#call.budget?.take(bytes)
  }

  drop(bytes: number): void {
    if (!this.#isOvertaken) this.#call.budget?.drop(bytes)
  }

  restart(): void {
    this.#call.budget?.restart()
  }

  #succeed({ rows, rowCount, tookMs = 0 }: CallRows): void {
    const { durations, database, bound } = this.#call
    durations.note(database, bound.signature, tookMs, rows.length)
    const now = performance.now()
    const queryMs = now - this.#sentAt
    this.#end({ kind: 'rows', result: { rows, rowCount, waitMs: this.#waitMs, queryMs } }, now)
  }

  async #fail(query: Progress, error: unknown): Promise<void> {
    try {
      const outcome = await failed(this.#call, this.#session, query, error)
      this.#end(outcome, performance.now(), error)
    } catch (unexpected) {
      this.#end({ kind: 'refused', error: unexpected }, performance.now(), error)
    }
  }

  #end(outcome: Outcome, now: number, error?: unknown): void {
    const { connection } = this.#lease
    // The calls before it had the session until their answers arrived.
    const since = Math.max(this.#sentAt, connection.answeredAt)
    countTime(this.#call.held, now - since)
    this.#call.calls.remove(connection, this)
    this.#lease.release(error)
    this.#resolve(outcome)
  }
}

async function failed(
  call: PlacedCall,
  session: Session,
  query: Progress,
  error: unknown,
): Promise<Outcome> {
  if (!isOfSharedMode(error)) return outcomeOfError(call, session, query, error)
  const { durations, database, bound } = call
  if (isQueryCanceled(error)) durations.noteSlow(database, bound.signature)
  else durations.noteWriting(database, bound.signature)
  return { kind: 'not begun', error }
}
