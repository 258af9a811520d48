import type { Client } from '../postgres/pools/waiter.ts'

/**
 * The client of one request. A plain object: an AbortSignal with a listener costs 5 µs a request,
 * this costs 0.03.
 */
export class HttpClient implements Client {
  isGone = false
  onGone: (() => void) | undefined
  askedAt: number | undefined
  leasedAt: number | undefined

  /** The connection was closed before the answer was complete. */
  leave(): void {
    this.isGone = true
    this.onGone?.()
  }
}
