import type { NumericFormat } from '../json/numeric-format.ts'
import type { Client } from '../postgres/pools/waiter.ts'
import type { UrlParameters } from './bind/url-parameters.ts'
import type { AnswerBudget } from './run/answer-budget.ts'
import type { Movable } from './run/moved.ts'
import type { TimeLimit } from './run/time-limit.ts'

/** The client and the database of a call. */
export interface CallTarget extends Movable {
  client: Client
  /** Time limit of this call; STATEMENT_TIMEOUT_SECS applies as well. */
  limit: TimeLimit | undefined
  /** Memory budget of the answer; undefined: not limited. */
  budget?: AnswerBudget | undefined
}

/** A call whose parameters come from a URL. */
export interface UrlCall {
  name: string
  params: UrlParameters
  /** Format of numeric and bigint; undefined: NUMERIC_FORMAT. */
  numeric: NumericFormat | undefined
}
