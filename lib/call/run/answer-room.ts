/** Where the answer of a request goes: it may have to wait for room. */
export interface AnswerRoom {
  /** Admits the next bytes of the answer: true at once, or a promise. */
  admit(bytes: number): true | Promise<void>
  /** Counts the next bytes, whether there is room or not. */
  take(bytes: number): void
  /** What was admitted is dropped, and comes once more. */
  restart(): void
}
