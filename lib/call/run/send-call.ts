import { STAY_PRESENT } from '../../postgres/pools/call-sessions.ts'
import type { Query, Result, Statement } from '../../postgres/session/query.ts'
import type { Session } from '../../postgres/session/session.ts'
import type { BoundCall } from '../bind/parameters.ts'
import type { SessionSettings } from '../request.ts'
import type { AnswerBudget } from './answer-budget.ts'
import { numbersAsText } from './numbers-as-text.ts'
import { type CallRows, readResult } from './result.ts'
import { callStatement, columnsOfCall } from './statement.ts'
import type { Asked } from './time-limit.ts'

/** How far a query has come. */
export type Progress = Pick<Query, 'state' | 'mayHaveBegun' | 'wasCutOff' | 'isSettled' | 'error'>

/** A call on its way. */
export interface SentCall {
  rows: Promise<CallRows>
  /** Of the query that runs the function. */
  query: Progress
}

export interface SendOptions extends Asked {
  bound: BoundCall
  /** Settings that the function finds with current_setting. */
  settings: SessionSettings | undefined
  maxResultBytes: number
  /** PostgreSQL refuses all that writes, though the session may write. */
  mustOnlyRead: boolean
  budget: AnswerBudget | undefined
}

/** See lib/postgres/pools/call-sessions.ts. */
export const KEEP_PRESENCE: Statement = { text: STAY_PRESENT, values: [] }

const SET_READ_ONLY: Statement = {
  text: "select pg_catalog.set_config('transaction_read_only', 'on', true)",
  values: [],
}

/**
 * Sends the statement of a call. What it needs around it goes under the same Sync, and so is one
 * transaction with it (PostgreSQL manual, "Pipelining"): PostgreSQL takes settings back by itself.
 */
export function sendCall(session: Session, options: SendOptions): SentCall {
  const { bound, settings, maxResultBytes, mustOnlyRead, budget } = options
  const statement = callStatement(bound, maxResultBytes, budget)
  const read = (result: Result): CallRows | Promise<CallRows> => {
    const rows = readResult(result, maxResultBytes)
    return bound.numbersAsText ? numbersAsText(session, columnsOfCall(result), rows) : rows
  }
  // It may release all locks of its session, and a deploy would take it for gone.
  const mayLeave = bound.signature.verdict.afterwards !== 'keep'
  if (!settings && !mustOnlyRead && !mayLeave) {
    const query = session.run(statement)
    return { query, rows: query.result.then(read) }
  }
  const before: Statement[] = []
  if (mayLeave) before.push(KEEP_PRESENCE)
  if (mustOnlyRead) before.push(SET_READ_ONLY)
  if (settings) before.push(settingsStatement(settings, true))
  const queries = session.pipeline([...before, statement])
  // The first that fails rejects first; those behind it were skipped.
  const results = Promise.all(queries.map(({ result }) => result))
  const rows = results.then((all) => read(all.at(-1)!))
  return { query: queries.at(-1)!, rows }
}

/** Gives the transaction these settings, or, where they are not local, the session. */
export function settingsStatement(settings: SessionSettings, isLocal: boolean): Statement {
  const calls = settings.map(
    (_, i) => `pg_catalog.set_config($${2 * i + 1}, $${2 * i + 2}, ${isLocal})`,
  )
  return { text: `select ${calls.join(', ')}`, values: settings.flat() }
}
