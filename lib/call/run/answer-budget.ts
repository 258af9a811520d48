import type { Leave } from '../../postgres/session/query.ts'

/** Memory budget of one answer. Reading may have to wait until the budget has space. */
export interface AnswerBudget {
  /** True: call `admit` for each row, however short. */
  readonly admitsEach?: boolean
  /**
   * Asks to read the next bytes of the answer. Returns true, a promise that resolves when they may
   * be read, or the error that says why they must not be read.
   */
  admit(bytes: number): Leave
  /** Counts the next bytes without waiting, even beyond the budget. */
  take(bytes: number): void
  /** Releases bytes that were admitted or counted and are not kept. */
  drop(bytes: number): void
  /** Releases all bytes except `kept` (default 0), before the rows are read again. */
  restart(kept?: number): void
}
