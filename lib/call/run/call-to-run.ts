import type { Replicas } from '../../postgres/hosts/replicas.ts'
import type { Pools } from '../../postgres/pools/pools.ts'
import type { Client } from '../../postgres/pools/waiter.ts'
import type { HeldTime, UsageEntry } from '../../usage/counters.ts'
import type { Usage } from '../../usage/usage.ts'
import type { BoundCall } from '../bind/parameters.ts'
import type { SessionSettings } from '../request.ts'
import type { KnownFunctions } from '../signatures/known-functions.ts'
import type { Signature } from '../signatures/signature.ts'
import type { AnswerBudget } from './answer-budget.ts'
import type { CallDurations } from './call-durations.ts'
import type { Movable } from './moved.ts'
import type { SharedCalls } from './shared-calls.ts'
import type { Restrictions, TimeLimit } from './time-limit.ts'

/** Settings of running calls; they may change while the gateway runs. */
export interface SettingsOfRuns {
  maxResultBytes: number
  statementTimeoutMs: number
}

/** The parts of the gateway that calls use. */
export interface CallParts {
  pools: Pools
  replicas: Replicas | undefined
  functions: KnownFunctions
  durations: CallDurations
  calls: SharedCalls
  readonly settings: SettingsOfRuns
  usage: Pick<Usage, 'counters' | 'times' | 'slow'>
}

/** A call to run. */
export interface CallToRun extends Movable {
  client: Client
  name: string
  /** Chooses the overload and binds the arguments. */
  bind: (overloads: Signature[]) => BoundCall | Promise<BoundCall>
  /** True: numeric and bigint in the rows become JSON strings. */
  numbersAsText: boolean
  /** Custom settings for the function; they end with its transaction. */
  settings: SessionSettings | undefined
  limit: TimeLimit | undefined
  /** Undefined: the tenant has no limits. */
  restrictions: Restrictions | undefined
  budget: AnswerBudget | undefined
  /** True: never runs on a replica, because the call must see the latest writes. */
  primary: boolean
  /** True: runs in a read-only transaction, regardless of the function's volatility. */
  mustOnlyRead: boolean
  /** `performance.now()` when the call began. */
  startedAt: number
  /** For how long sessions were held for it. */
  held: HeldTime
  /** Entry of the function that counts the call; undefined until the call is bound. */
  entry: UsageEntry | undefined
}
