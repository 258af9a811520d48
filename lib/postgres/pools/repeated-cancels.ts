/** Pause between cancel requests: the first may arrive before the query has begun. */
const CANCEL_AGAIN_MS = 100

/** Repeated cancel requests for one connection. */
export class RepeatedCancels {
  #isCancelling = false
  #endPause: (() => void) | undefined
  /** Whether the next cancel request is sent without a pause. */
  #isInHurry = false

  /** Sends cancel requests until `isEnded` is true; returns at once if another call sends them. */
  async until(isEnded: () => boolean, cancel: () => Promise<void>): Promise<void> {
    if (this.#isCancelling) return
    this.#isCancelling = true
    while (!isEnded()) {
      await cancel()
      await this.#pause()
    }
    this.#isCancelling = false
  }

  /** Skips the pause before the next cancel request. */
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
