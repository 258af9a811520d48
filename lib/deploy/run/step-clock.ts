/** Steps of a deploy to one database, in their order. */
export type DeployStep =
  // The session, the lock, the ledger and the plan; also tries that started over.
  | 'prepare'
  // Schemas, extensions and types.
  | 'types'
  | 'migrations'
  | 'tables'
  | 'functions'
  | 'seeders'
  // The last look for what was lost, the ledger and the commit.
  | 'commit'

/** Milliseconds that each step took, to a tenth. */
export type StepTimes = { [step in DeployStep]?: number }

/** Tells how long the steps of a deploy take. */
export class StepClock {
  readonly times: StepTimes = {}
  #since: number

  /** @param started `performance.now()` at which the first step began */
  constructor(started: number) {
    this.#since = started
  }

  /** Ends a step; the next one begins. A step that is ended twice took both times. */
  end(step: DeployStep): void {
    const now = performance.now()
    const took = (this.times[step] ?? 0) + now - this.#since
    this.times[step] = Math.round(took * 10) / 10
    this.#since = now
  }
}
