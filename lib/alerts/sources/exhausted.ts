import type { PoolsReport } from '../../postgres/pools/pool-report.ts'
import { MOST_NAMED } from '../alert.ts'
import type { Alerts } from '../alerts.ts'

const LOOK_EVERY_MS = 5000

/** Databases that are told apart at one look; above that, one alert tells of all. */
const MOST_APART = 3

interface Refused {
  database: string
  platform: string | undefined
  refused: number
}

/** Tells databases whose requests got no connection. */
export class ExhaustedAlerts {
  readonly #alerts: Alerts
  readonly #report: () => Pick<PoolsReport, 'pools'>
  /** Requests refused so far since the start. */
  readonly #total: () => number
  #seen = 0
  /** Requests refused so far, by the databases of the last look. */
  #seenOf = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(alerts: Alerts, total: () => number, report: () => Pick<PoolsReport, 'pools'>) {
    this.#alerts = alerts
    this.#total = total
    this.#report = report
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), LOOK_EVERY_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Looks whether requests were refused since the last look. */
  look(): void {
    const total = this.#total()
    if (total === this.#seen) return
    this.#seen = total
    const found: Refused[] = []
    const seenOf = new Map<string, number>()
    for (const { database, platform, exhausted } of this.#report().pools) {
      const seen = this.#seenOf.get(database) ?? 0
      // A count below the last is that of a database that was dropped and made anew.
      const refused = exhausted < seen ? exhausted : exhausted - seen
      seenOf.set(database, exhausted)
      if (refused > 0) found.push({ database, platform, refused })
    }
    this.#seenOf = seenOf
    found.sort((one, other) => other.refused - one.refused)
    if (found.length <= MOST_APART) for (const one of found) this.#tell([one], one.database)
    else this.#tell(found, '*')
  }

  #tell(found: Refused[], of: string): void {
    const refused = found.reduce((sum, one) => sum + one.refused, 0)
    const named = found.slice(0, MOST_NAMED)
    const where = found.length === 1 ? found[0]!.database : `${found.length} databases`
    this.#alerts.raise({
      type: 'pool.exhausted',
      key: `pool.exhausted:${of}`,
      text: `${refused} requests to ${where} got no connection, and were refused (pool_exhausted)`,
      data: { refused, databases: named },
    })
  }
}
