/** A cancel may come before the query that is meant has begun. */
const CANCEL_AGAIN_MS = 100

/** Cancels what runs on one connection, again and again. */
export class RepeatedCancels {
  #isCancelling = false
  #endPause: (() => void) | undefined
  /** The next cancel is sent without a pause. */
  #isInHurry = false

  /** Sends cancels until `isEnded` says so; resolves at once where this is under way. */
  async until(isEnded: () => boolean, cancel: () => Promise<void>): Promise<void> {
    if (this.#isCancelling) return
    this.#isCancelling = true
    while (!isEnded()) {
      await cancel()
      await this.#pause()
    }
    this.#isCancelling = false
  }

  /** Sends the next cancel at once. */
  hurry(): void {
    this.#isInHurry = true
    this.#endPause?.()
  }

  async #pause(): Promise<void> {
    if (!this.#isInHurry) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, CANCEL_AGAIN_MS)
        this.#endPause = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    this.#isInHurry = false
  }
}
