import type { Replicas } from '../../postgres/hosts/replicas.ts'
import type { Pools } from '../../postgres/pools/pools.ts'
import type { Client } from '../../postgres/pools/waiter.ts'
import type { BoundCall } from '../bind/parameters.ts'
import type { SessionSettings } from '../request.ts'
import type { KnownFunctions } from '../signatures/known-functions.ts'
import type { Signature } from '../signatures/signature.ts'
import type { AnswerBudget } from './answer-budget.ts'
import type { CallDurations } from './call-durations.ts'
import type { SharedCalls } from './shared-calls.ts'
import type { TimeLimit } from './time-limit.ts'

/** What calls need of the gateway. */
export interface CallParts {
  pools: Pools
  replicas: Replicas | undefined
  functions: KnownFunctions
  durations: CallDurations
  calls: SharedCalls
  maxResultBytes: number
  statementTimeoutMs: number
}

/** A call that is to run. */
export interface CallToRun {
  client: Client
  database: string
  name: string
  /** Chooses the function among its overloads, and binds its arguments. */
  bind: (overloads: Signature[]) => BoundCall | Promise<BoundCall>
  /** Whether numeric and bigint of its rows are written as JSON strings. */
  numbersAsText: boolean
  /** Settings that the function finds; they end with its transaction. */
  settings: SessionSettings | undefined
  limit: TimeLimit | undefined
  budget: AnswerBudget | undefined
  /** It has to see what was written just now: no replica will do. */
  primary: boolean
  /** PostgreSQL refuses all that writes, whatever the function says of itself. */
  mustOnlyRead: boolean
}
