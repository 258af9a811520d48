import { half, type StreamLimits } from './stream-slots.ts'

/** Settings that limit the streams of a gateway; they may change while it runs. */
interface StreamSettings {
  readonly maxConnectionsPerPool: number
  readonly maxConnectionsPerPlatform: number
  readonly maxQueuePerDatabase: number
  readonly poolWaitTimeoutMs: number
}

/**
 * Returns the limits of streams: half of what calls may have.
 * @param mostForCalls returns the connections that a database may have for calls; undefined: no limit
 *   of its own
 * @param capacity returns the connections that may be open
 */
export function limitsOfStreams(
  settings: StreamSettings,
  mostForCalls: (database: string) => number | undefined,
  capacity: () => number,
): StreamLimits {
  return {
    maxPerDatabase: (database) => {
      const { maxConnectionsPerPool, maxConnectionsPerPlatform } = settings
      const most = Math.min(maxConnectionsPerPool, maxConnectionsPerPlatform)
      return half(Math.min(most, mostForCalls(database) ?? Infinity))
    },
    maxTotal: () => half(capacity()),
    get maxWaiting() {
      return settings.maxQueuePerDatabase
    },
    get waitMs() {
      return settings.poolWaitTimeoutMs
    },
  }
}
