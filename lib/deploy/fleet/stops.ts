interface RunningFleet {
  platform: string
  requestId: string
  isStopped: boolean
}

/**
 * The fleets that this gateway deploys to, by the id of their request, so that somebody can ask for no
 * further database to be started.
 */
export class RunningFleets {
  readonly #running = new Set<RunningFleet>()

  /** Runs `work`, which asks `isStopped` before it starts a database. */
  async run<T>(
    platform: string,
    requestId: string,
    work: (isStopped: () => boolean) => Promise<T>,
  ): Promise<T> {
    const fleet = { platform, requestId, isStopped: false }
    this.#running.add(fleet)
    try {
      return await work(() => fleet.isStopped)
    } finally {
      this.#running.delete(fleet)
    }
  }

  /** Has the fleets of this request start no further database. */
  stop(platform: string, requestId: string): void {
    for (const fleet of this.#running) {
      if (fleet.platform === platform && fleet.requestId === requestId) fleet.isStopped = true
    }
  }
}
