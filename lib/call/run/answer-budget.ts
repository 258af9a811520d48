import type { Leave } from '../../postgres/session/query.ts'

/** Where the answer of a request goes: it may have to wait for room. */
export interface AnswerBudget {
  /** Whether `admit` is to be asked for each row, however short. */
  readonly admitsEach?: boolean
  /** Admits the next bytes of the answer: true at once, or a promise; or why they are not read. */
  admit(bytes: number): Leave
  /** Counts the next bytes, whether there is room or not. */
  take(bytes: number): void
  /** Gives bytes back that were admitted or counted, and are not kept. */
  drop(bytes: number): void
  /** All but so many bytes are dropped, and come once more: none unless given are kept. */
  restart(kept?: number): void
}
