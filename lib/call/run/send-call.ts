import { STAY_PRESENT } from '../../postgres/pools/call-sessions.ts'
import type { Query, QueryListener, Result, Statement } from '../../postgres/session/query.ts'
import type { Session } from '../../postgres/session/session.ts'
import type { BoundCall } from '../bind/parameters.ts'
import type { SessionSettings } from '../request.ts'
import type { AnswerBudget } from './answer-budget.ts'
import { numbersAsText } from './numbers-as-text.ts'
import { type CallRows, readResult } from './result.ts'
import { callStatement, columnsOfCall } from './statement.ts'
import type { Asked } from './time-limit.ts'

/** Progress of a query. */
export type Progress = Pick<Query, 'state' | 'mayHaveBegun' | 'wasCutOff' | 'isSettled' | 'error'>

/** A call that has been sent. */
export interface SentCall {
  rows: Promise<CallRows>
  /** Progress of the query that runs the function. */
  query: Progress
}

export interface SendOptions extends Asked {
  bound: BoundCall
  /** Custom settings that the function reads with current_setting. */
  settings: SessionSettings | undefined
  maxResultBytes: number
  /** True: makes the transaction read-only although the session may write. */
  mustOnlyRead: boolean
  budget: AnswerBudget | undefined
}

/** Keeps the session's presence lock: see lib/postgres/pools/call-sessions.ts. */
export const KEEP_PRESENCE: Statement = { text: STAY_PRESENT, values: [] }

const SET_READ_ONLY: Statement = {
  text: "select pg_catalog.set_config('transaction_read_only', 'on', true)",
  values: [],
}

/**
 * Sends a call that is one statement, and tells `listener` of its end; `readResult` reads the answer.
 * Returns undefined, and sends nothing, for a call that `sendCall` has to send.
 */
export function sendAlone(
  session: Session,
  { bound, client, settings, maxResultBytes }: SendOptions,
  budget: AnswerBudget | undefined,
  listener: QueryListener,
): Query | undefined {
  if (settings || mayLeave(bound) || bound.numbersAsText) return undefined
  return session.run(callStatement(bound, maxResultBytes, budget, client), listener)
}

/**
 * Sends the statement of a call. The statements that set it up share its Sync and so its
 * transaction (PostgreSQL manual, "Pipelining"): PostgreSQL reverts the settings at its end.
 */
export function sendCall(session: Session, options: SendOptions): SentCall {
  const { bound, client, settings, maxResultBytes, mustOnlyRead, budget } = options
  const statement = callStatement(bound, maxResultBytes, budget, client)
  const read = (result: Result): CallRows | Promise<CallRows> => {
    const rows = readResult(result, maxResultBytes)
    return bound.numbersAsText ? numbersAsText(session, columnsOfCall(result), rows) : rows
  }
  const mustStay = mayLeave(bound)
  if (!settings && !mustOnlyRead && !mustStay) {
    const query = session.run(statement)
    return { query, rows: query.result.then(read) }
  }
  const before: Statement[] = []
  if (mustStay) before.push(KEEP_PRESENCE)
  if (mustOnlyRead) before.push(SET_READ_ONLY)
  if (settings) before.push(settingsStatement(settings, true))
  const queries = session.pipeline([...before, statement])
  // The first failure rejects first; the statements after it were skipped.
  const results = Promise.all(queries.map(({ result }) => result))
  const rows = results.then((all) => read(all.at(-1)!))
  return { query: queries.at(-1)!, rows }
}

/**
 * Whether the function may release all locks of its session: a deploy would consider the session
 * closed.
 */
function mayLeave({ signature }: BoundCall): boolean {
  return signature.verdict.afterwards !== 'keep'
}

/**
 * Returns the statement that sets these settings, for the transaction or, if not `isLocal`, for the
 * session.
 */
export function settingsStatement(settings: SessionSettings, isLocal: boolean): Statement {
  const calls = settings.map(
    (_, i) => `pg_catalog.set_config($${2 * i + 1}, $${2 * i + 2}, ${isLocal})`,
  )
  return { text: `select ${calls.join(', ')}`, values: settings.flat() }
}
