import type { Config } from '../config.ts'

const MEBIBYTE = 1024 * 1024

/** Returns the settings of one of several workers: limits of the service are divided among them. */
export function dividedSettings(config: Config, workers: number): Config {
  const part = (limit: number, least = 1) => Math.max(least, Math.ceil(limit / workers))
  return {
    ...config,
    maxBufferedBytes: Math.max(MEBIBYTE, Math.floor(config.maxBufferedBytes / workers)),
    maxHttpConnections: part(config.maxHttpConnections),
    maxConnectionsPerPool: part(config.maxConnectionsPerPool, 2),
    maxConnectionsPerPlatform: part(config.maxConnectionsPerPlatform, 2),
    maxQueuePerDatabase: part(config.maxQueuePerDatabase),
    migrateConcurrency: part(config.migrateConcurrency),
    maxWaitingDeploys: part(config.maxWaitingDeploys, 0),
    // The parent tells them.
    warnings: [],
  }
}
