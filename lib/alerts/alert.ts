/** How urgent an alert is. */
export type Severity = 'info' | 'warning' | 'critical'

/** The kinds of alerts: severity, and what has happened, for docs/alerts.md. */
export const ALERTS = {
  'deploy.finished': [
    'info',
    'A request has deployed a schema. One that changed nothing is not told.',
  ],
  'deploy.failed': ['warning', 'A deploy failed, in one database or in several.'],
  'tenant.unreachable': [
    'warning',
    'The database of a tenant is missing, or takes no connections, while PostgreSQL answers.',
  ],
  'tenant.reachable': ['info', 'The database of a tenant takes connections again.'],
  'postgres.gone': [
    'critical',
    'PostgreSQL does not answer; `name` is that of the server, if it is one of SERVERS.',
  ],
  'postgres.back': ['info', 'PostgreSQL answers again.'],
  'postgres.moved': ['warning', 'Another host has become the primary.'],
  'replica.gone': [
    'warning',
    'A replica does not answer, or is none of this primary: it gets no calls.',
  ],
  'replica.behind': [
    'warning',
    'A replica is further behind than DATABASE_READ_MAX_LAG_SECS: it gets no calls.',
  ],
  'replica.back': ['info', 'A replica gets calls again.'],
  'pool.exhausted': ['warning', 'Requests got no connection, and were refused.'],
  'certificate.expiring': [
    'warning',
    'The certificate of TLS_CERT_FILE ends in less than 14 days, or has ended.',
  ],
  'gateway.joined': ['info', 'A gateway has started on this PostgreSQL.'],
  'gateway.left': ['info', 'A gateway on this PostgreSQL has stopped, or was lost.'],
  test: ['info', 'A test that /admin/test-alert sends, whatever WEBHOOK_EVENTS says.'],
} as const satisfies Record<string, [Severity, string]>

export type AlertType = keyof typeof ALERTS

export const ALERT_TYPES = Object.keys(ALERTS) as AlertType[]

/** Databases that one alert names at most. */
export const MOST_NAMED = 20

/** Something that operators are told. */
export interface Alert {
  type: AlertType
  /** Condition that the alert is about: alerts with the same key are told once. */
  key: string
  /** One line for people. */
  text: string
  /** Facts for programs; no value of a call and no secret. */
  data: Record<string, unknown>
}

/** An alert as it is sent. */
export interface Delivery extends Alert {
  /** UUID of the alert, the same at each try to deliver it. */
  id: string
  severity: Severity
  /** Time at which the gateway found out, ISO 8601. */
  at: string
  gateway: { id: string; host: string; version: string }
  /** Alerts that were dropped since the last delivery, because too many waited. */
  dropped: number
}
