import type { Metric, Sample } from './text.ts'

/** What docs/metrics.md says of a metric. */
export interface Definition {
  type: Metric['type']
  /** Names of the labels, without `le` of histograms. */
  labels: string[]
  help: string
  /** Alert of deploy/prometheus/alerts.yml that uses the metric. */
  alert?: string
}

function define(type: Metric['type'], labels: string, help: string, alert?: string): Definition {
  return { type, labels: labels.split(' ').filter(Boolean), help, ...(alert && { alert }) }
}

/** Define a metric: its labels with spaces between, its help, and the alert that uses it. */
export const gauge = define.bind(null, 'gauge')
export const counter = define.bind(null, 'counter')
export const histogram = define.bind(null, 'histogram')

/** The gateway's own metrics, by name. Where `server` is a name of SERVERS, it is absent without SERVERS. */
export const METRICS = {
  db_gateway_build_info: gauge(
    'version node',
    'Always 1; the versions are in its labels.',
    'DbGatewayRestarts, DbGatewayEventLoopBusy, DbGatewayGarbageCollection, DbGatewayFiles',
  ),
  db_gateway_draining: gauge('', '1 while the gateway shuts down, else 0.'),

  db_gateway_http_requests_total: counter(
    'method route status',
    'Requests that ended; status 499 counts those whose client disconnected first.',
    'DbGatewayServerErrors',
  ),
  db_gateway_http_request_duration_seconds: histogram(
    'method route',
    'Time from the head of a request to the end of its response.',
    'DbGatewaySlow',
  ),
  db_gateway_errors_total: counter('code', 'Requests that were answered with this error code.'),
  db_gateway_buffered_bytes: gauge(
    '',
    'Bytes of request bodies and of answers that their clients have not taken yet.',
    'DbGatewayBuffersFull',
  ),
  db_gateway_buffered_capacity_bytes: gauge('', 'MAX_BUFFERED_BYTES.', 'DbGatewayBuffersFull'),
  db_gateway_buffered_waiting: gauge('', 'Answers that wait for room in MAX_BUFFERED_BYTES.'),

  db_gateway_calls_total: counter(
    'platform',
    'Calls that were answered.',
    'DbGatewayCallErrors, DbGatewayConnectionsChange',
  ),
  db_gateway_calls_failed_total: counter(
    'platform',
    'Calls that were answered with an error.',
    'DbGatewayCallErrors',
  ),
  db_gateway_call_duration_seconds: histogram(
    'platform function',
    'Time from the begin of a call to its answer. The 200 functions with most calls have their own, the rest is one.',
    'DbGatewayCallsSlow',
  ),
  db_gateway_call_errors_total: counter(
    'platform function',
    'Calls that were answered with an error, of the same functions.',
  ),
  db_gateway_call_bytes_total: counter('platform', 'Bytes of the rows in the answers of calls.'),
  db_gateway_database_seconds_total: counter(
    'platform',
    'Time for which sessions were held for calls of a platform.',
  ),
  db_gateway_calls_in_flight: gauge('', 'Calls that are not answered yet.'),
  db_gateway_call_wait_seconds: histogram(
    '',
    'Time that a call waited for a connection.',
    'DbGatewayCallsWait',
  ),
  db_gateway_call_query_seconds: histogram('', 'Time that a call waited for PostgreSQL.'),

  db_gateway_permits_held: gauge(
    'server',
    'Open connections of all databases.',
    'DbGatewayConnectionsFull',
  ),
  db_gateway_permits_capacity: gauge(
    'server',
    'Limit on open connections of all databases.',
    'DbGatewayConnectionsFull',
  ),
  db_gateway_connections_opened_total: counter('server', 'Connections that were opened.'),
  db_gateway_connections_closed_total: counter('server', 'Connections that were closed.'),
  db_gateway_connections_evicted_total: counter(
    'server',
    'Connections that were closed to give their place to another database.',
    'DbGatewayConnectionsChange',
  ),
  db_gateway_pool_exhausted_total: counter(
    'server',
    'Requests that got no connection: the queue was full, or none became free in time.',
    'DbGatewayPoolExhausted',
  ),
  db_gateway_waiting_requests: gauge(
    'server',
    'Requests that wait for a connection to any database.',
    'DbGatewayConnectionsFull',
  ),
  db_gateway_pool_connections: gauge(
    'database platform server state',
    'Open connections to a database, `busy` or `idle`.',
  ),
  db_gateway_pool_waiting: gauge(
    'database platform server',
    'Requests that wait for a connection to a database.',
  ),
  db_gateway_pool_oldest_wait_seconds: gauge(
    'database platform server',
    'Longest time that a waiting request has waited for a connection to a database.',
  ),
  db_gateway_pool_connections_opened_total: counter(
    'database platform server',
    'Connections to a database that were opened.',
  ),
  db_gateway_pool_connections_closed_total: counter(
    'database platform server',
    'Connections to a database that were closed.',
  ),
  db_gateway_pool_connections_evicted_total: counter(
    'database platform server',
    'Connections that were closed to give their place to another database.',
  ),
  db_gateway_pool_requests_exhausted_total: counter(
    'database platform server',
    'Requests that got no connection to a database.',
  ),

  db_gateway_deploys_total: counter(
    'status',
    'Deploys to one database that ended, `completed` or `failed`.',
    'DbGatewayDeploysFail',
  ),
  db_gateway_deploy_duration_seconds: histogram('', 'Time that a deploy to one database took.'),
  db_gateway_deploys_running: gauge('', 'Deploys to one database that run.'),
  db_gateway_deploys_waiting: gauge('', 'Deploys to one database that wait for their turn.'),
  db_gateway_jobs_running: gauge('', 'Jobs of /v2/migrate-all that this gateway runs.'),
  db_gateway_databases: gauge(
    'platform state',
    'Databases of a platform by state: `synced`, `pending`, `drifted`, `failed`, `suspended` or `missing`.',
    'DbGatewayMigrationsPending, DbGatewayDatabasesFailed, DbGatewayDrift, DbGatewayDatabasesMissing',
  ),
  db_gateway_databases_age_seconds: gauge(
    '',
    'Age of db_gateway_databases, which is read in the background once a minute while somebody asks.',
    'DbGatewayFleetUnknown',
  ),

  db_gateway_server_up: gauge(
    'server',
    '1 where a server of SERVERS is open and answers, else 0; absent without SERVERS.',
    'DbGatewayServerAway',
  ),
  db_gateway_server_databases: gauge(
    'server',
    'Databases that the catalog has on a server; absent without SERVERS.',
  ),
  db_gateway_postgres_up: gauge(
    'server role',
    '1 where a server answers (a replica: where it gets calls), else 0.',
    'DbGatewayPostgresDown, DbGatewayReplicaUnusable',
  ),
  db_gateway_postgres_outages_total: counter(
    'server role',
    'Times that a server stopped answering, or a replica could not be used.',
    'DbGatewayPostgresFlaps',
  ),
  db_gateway_postgres_down_seconds_total: counter(
    'server role',
    'Time of all outages of a server, with the present one.',
  ),
  db_gateway_replica_lag_seconds: gauge(
    'server',
    'How far a replica is behind the primary; absent where that is not known.',
    'DbGatewayReplicaLag',
  ),
  db_gateway_unreachable_databases: gauge(
    '',
    'Databases that took no connections at the last look, once a minute; 0 without WEBHOOK_URL.',
    'DbGatewayTenantsUnreachable',
  ),

  db_gateway_audit_queue: gauge(
    '',
    'Entries of the audit trail that wait to be written.',
    'DbGatewayAuditBehind',
  ),
  db_gateway_audit_lost_total: counter(
    '',
    'Entries that could not be written to the audit trail and are in the log alone.',
    'DbGatewayAuditLost',
  ),
  db_gateway_alerts_total: counter(
    'outcome',
    'Alerts for WEBHOOK_URL: `delivered`, `failed`, `dropped`, or `duplicate` where another gateway told it.',
    'DbGatewayAlertsLost',
  ),
  db_gateway_alerts_queue: gauge('', 'Alerts that wait to be delivered.'),
  db_gateway_certificate_expiry_timestamp_seconds: gauge(
    '',
    'End of the certificate of TLS_CERT_FILE, in seconds since 1970; absent without TLS.',
    'DbGatewayCertificateEnds',
  ),

  db_gateway_gateways: gauge('', 'Gateways alive on this PostgreSQL.'),
  db_gateway_share_connections: gauge(
    'id host server',
    'Connections that a gateway may have open.',
  ),
} as const satisfies Record<string, Definition>

export type MetricName = keyof typeof METRICS

/** Returns a metric of the table with its samples. */
export function metric(name: MetricName, samples: Iterable<Sample>): Metric {
  const { type, help } = METRICS[name]
  return { name, type, help, samples }
}

/** Returns a metric without labels. */
export function single(name: MetricName, value: number | undefined): Metric {
  return metric(name, value === undefined ? [] : [{ labels: {}, value }])
}
