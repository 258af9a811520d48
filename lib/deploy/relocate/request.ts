import type { Sql } from '../../postgres/pools/connection.ts'
import type { Owner } from '../../tenancy/names.ts'
import type { AskedHow } from './how.ts'
import type { Followed } from './replicate/follow.ts'
import type { Waited } from './replicate/slot.ts'
import type { Ending } from './tidy.ts'

/** A step of a move, as its progress tells it. */
export type MoveStep =
  | 'preparing'
  | 'copying'
  | 'following'
  | 'waiting'
  | 'holding'
  | 'comparing'
  | 'moved'

/** A request to move a tenant, or a main database, to another server. */
export interface MoveRequest {
  owner: Owner
  how: AskedHow
  /** Answers calls 503 meanwhile, however long the copy takes. */
  isHeld: boolean
  /** Milliseconds that calls wait at most where `isHeld` is false. */
  maxWaitMs: number
  /** How often replication tries to hold calls, where those that run last for too long. */
  tries: number
  /** Ends the wait for the locks of both names, and nothing later, when the client is gone. */
  gone: AbortSignal
  /**
   * @param about how far replication is, how often it has tried to hold calls, or the transactions for
   *   which it waits before it begins
   */
  onStep: (
    step: MoveStep,
    about?: Followed | { tries: number } | { transactions: Waited[] },
  ) => void
}

/** Sessions in the administrative databases of `main`, of the source and of the target, with their locks. */
export interface Sessions {
  home: Sql
  admin: Sql
  there: Sql
}

/** A move that has begun. */
export interface Begun extends Ending {
  /** Size of the source, in bytes. */
  bytes: number
  /** `performance.now()` when calls began to be held; 0 before. */
  heldAt: number
}
