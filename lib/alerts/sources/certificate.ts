import type { Alerts } from '../alerts.ts'

const LOOK_EVERY_MS = 60 * 60 * 1000
const DAY_MS = 24 * 60 * 60 * 1000

/** Days before the end of a certificate from which on it is told. */
const WARN_DAYS = 14

/** Tells that the certificate of TLS_CERT_FILE is about to end. */
export class CertificateAlerts {
  readonly #alerts: Alerts
  #validUntil: Date | undefined
  #key: string | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(alerts: Alerts) {
    this.#alerts = alerts
  }

  /** End of the certificate that is in use; undefined without TLS. */
  get validUntil(): Date | undefined {
    return this.#validUntil
  }

  /** Notes the certificate that is in use from now on. */
  note(validUntil: Date): void {
    if (this.#key !== undefined) this.#alerts.end(this.#key)
    this.#validUntil = validUntil
    this.#key = undefined
    this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS).unref()
    this.#look()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const leftMs = this.#validUntil!.getTime() - Date.now()
    if (leftMs > WARN_DAYS * DAY_MS) return
    const until = this.#validUntil!.toISOString()
    this.#key = `certificate:${until}`
    const days = Math.floor(leftMs / DAY_MS)
    this.#alerts.begin({
      type: 'certificate.expiring',
      key: this.#key,
      text:
        leftMs <= 0
          ? `The certificate of TLS_CERT_FILE ended at ${until}`
          : `The certificate of TLS_CERT_FILE ends in ${days} days, at ${until}`,
      data: { valid_until: until, days_left: days },
    })
  }
}
