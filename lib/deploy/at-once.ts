import type { Config } from '../config.ts'

/** Connections of a deploy to a new database: its own and one that holds the lock. */
const CONNECTIONS_PER_DEPLOY = 2

/**
 * Returns how many deploys may run at a time. They leave half of the connections to calls, and one
 * connection of the administrative database to all other work there.
 * @param capacity connections that this gateway may open
 */
export function deploysAtOnce(
  config: Pick<Config, 'migrateConcurrency' | 'maxConnectionsPerPool'>,
  capacity: number,
): number {
  return Math.min(
    config.migrateConcurrency,
    Math.floor(capacity / 2 / CONNECTIONS_PER_DEPLOY),
    config.maxConnectionsPerPool - 1,
  )
}
