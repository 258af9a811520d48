import type { Client } from '../postgres/pools/waiter.ts'

/**
 * The client of one request. A plain object costs 0.03 µs per request, an AbortSignal with a
 * listener 5 µs.
 */
export class HttpClient implements Client {
  isGone = false
  /** Whether an operator has cancelled the call: nothing more is run for it, but it is answered. */
  isCancelled = false
  onGone: (() => void) | undefined
  askedAt: number | undefined
  leasedAt: number | undefined
  openingAt: number | undefined
  plans: Client['plans']
  readonly requestId: string

  constructor(requestId: string) {
    this.requestId = requestId
  }

  /** Called when the connection is closed before the answer is complete. */
  leave(): void {
    this.isGone = true
    this.onGone?.()
  }

  /** Ends the call as if the client had gone. */
  cancel(): void {
    this.isCancelled = true
    this.leave()
  }
}
