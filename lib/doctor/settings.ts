import type { Config } from '../config.ts'
import { type Check, ok, warning } from './check.ts'

/** Looks for settings that contradict each other, or that leave the gateway open. */
export function checkSettings(config: Config): Check[] {
  const found = [
    ...config.warnings.map((message) =>
      warning('settings', message, 'Correct or remove the variable'),
    ),
    ...checkAccess(config),
    ...checkConnections(config),
    ...checkTimes(config),
  ]
  return found.length > 0 ? found : [ok('settings', 'None contradicts another')]
}

function checkAccess({ host, adminToken, adminNetworks, tls, isolation }: Config): Check[] {
  const found: Check[] = []
  const isOpen = !/^(127\.|localhost$|::1$)/.test(host)
  if (isOpen && adminToken === undefined && adminNetworks === undefined) {
    found.push(
      warning(
        'access',
        `The gateway listens on ${host}, and whoever is in ALLOWED_NETWORKS may administer it`,
        'Set ADMIN_TOKEN, or ADMIN_NETWORKS',
      ),
    )
  }
  if (isOpen && adminToken !== undefined && !tls) {
    found.push(
      warning(
        'access',
        `The gateway listens on ${host} without TLS, so ADMIN_TOKEN can be read on the network`,
        'Set TLS_CERT_FILE and TLS_KEY_FILE, or have a proxy with TLS before the gateway',
      ),
    )
  }
  if (isolation === 'shared-role') {
    found.push(
      warning(
        'isolation',
        'With ISOLATION=shared the functions of each platform reach all databases',
        'Unset ISOLATION; the role of DATABASE_URL needs CREATEROLE then',
      ),
    )
  }
  return found
}

function checkConnections(config: Config): Check[] {
  const { maxTotalConnections: total, maxConnectionsPerPool: pool } = config
  const { maxConnectionsPerPlatform: platform, migrateConcurrency } = config
  const found: Check[] = []
  if (pool > total) {
    found.push(
      warning(
        'connections',
        `MAX_CONNECTIONS_PER_POOL is ${pool}, and MAX_TOTAL_CONNECTIONS ${total}: one database can take all of them`,
        'Lower the first, or raise the second',
      ),
    )
  }
  if (platform !== Infinity && platform > total) {
    found.push(
      warning(
        'connections',
        `MAX_CONNECTIONS_PER_PLATFORM is ${platform}, and MAX_TOTAL_CONNECTIONS ${total}: the first has no effect`,
        'Lower it',
      ),
    )
  }
  const deploys = Math.floor(total / 4)
  if (migrateConcurrency > deploys) {
    found.push(
      warning(
        'connections',
        `MIGRATE_CONCURRENCY is ${migrateConcurrency}, but half of ${total} connections are enough for ${deploys} deploys at once`,
        `Raise MAX_TOTAL_CONNECTIONS, or set MIGRATE_CONCURRENCY to ${Math.max(1, deploys)}`,
      ),
    )
  }
  return found
}

function checkTimes({ statementTimeoutMs, shutdownTimeoutMs, sendTimeoutMs }: Config): Check[] {
  const found: Check[] = []
  if (shutdownTimeoutMs > 0 && shutdownTimeoutMs < statementTimeoutMs) {
    found.push(
      warning(
        'times',
        `SHUTDOWN_TIMEOUT_SECS (${shutdownTimeoutMs / 1000}) is below STATEMENT_TIMEOUT_SECS (${statementTimeoutMs / 1000}): a stop cuts calls that are within their time`,
        'Raise the first; the service manager has to wait longer still (TimeoutStopSec)',
      ),
    )
  }
  if (sendTimeoutMs < 1000) {
    found.push(warning('times', 'SEND_TIMEOUT_SECS is below a second', 'Raise it'))
  }
  return found
}
