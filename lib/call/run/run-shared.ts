import { isQueryCanceled } from '../../postgres/errors.ts'
import type { Lease } from '../../postgres/pools/lease.ts'
import type { Session } from '../../postgres/session/session.ts'
import { countTime } from '../../usage/counters.ts'
import type { AnswerBudget } from './answer-budget.ts'
import type { Outcome } from './attempt.ts'
import { isOfSharedMode } from './failures.ts'
import { markAsked, markLeased } from './marks.ts'
import { enterMode } from './mode.ts'
import { outcomeOfError } from './outcome-of-error.ts'
import type { PlacedCall } from './placed-call.ts'
import type { CallRows } from './result.ts'
import { type SentCall, sendCall } from './send-call.ts'
import { sessionOf } from './session-of.ts'
import type { SharedCall } from './shared-calls.ts'

/** Outcome of a call that was overtaken and moves to another place. */
const OVERTAKEN: Outcome = { kind: 'not begun', error: undefined }

/** Runs a call in a shared session, pipelined with other quick read-only calls. */
export async function runShared(call: PlacedCall): Promise<Outcome> {
  const { pools, client, database, expectedMs = 0 } = call
  const askedAt = markAsked(client)
  let lease: Lease
  try {
    const place = pools.share(database, expectedMs, { client, deadline: call.limit?.deadline })
    lease = place instanceof Promise ? await place : place
  } catch (error) {
    return { kind: 'refused', error }
  }
  const opened = sessionOf(lease, call)
  const session = opened instanceof Promise ? await opened : opened
  if ('kind' in session) return session
  return new Promise((resolve) => {
    new SharedAttempt(call, lease, session, askedAt, resolve).send()
  })
}

/** A call in its shared session. It releases the session when its own answer has arrived. */
class SharedAttempt implements SharedCall, AnswerBudget {
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
    // The session itself is read-only.
    const options = { ...this.#call, mustOnlyRead: false, budget: this.#call.budget && this }
    const sent = sendCall(this.#session, options)
    this.#call.calls.add(connection, this)
    sent.rows.then(
      (rows) => this.#succeed(rows),
      (error) => this.#fail(sent, error),
    )
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

  async #fail(sent: SentCall, error: unknown): Promise<void> {
    try {
      const outcome = await failed(this.#call, this.#session, sent, error)
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
  sent: SentCall,
  error: unknown,
): Promise<Outcome> {
  if (!isOfSharedMode(error)) return outcomeOfError(call, session, sent.query, error)
  const { durations, database, bound } = call
  if (isQueryCanceled(error)) durations.noteSlow(database, bound.signature)
  else durations.noteWriting(database, bound.signature)
  return { kind: 'not begun', error }
}
