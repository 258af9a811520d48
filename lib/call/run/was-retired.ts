import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection } from '../../postgres/connection.ts'

/** A gateway hears of a deploy at most so much later than PostgreSQL ends a session for it. */
const HEARS_WITHIN_MS = 1000

const LOOK_EVERY_MS = 10

/**
 * Whether a session that PostgreSQL has ended was to end for a deploy: what tells the gateway of the
 * deploy comes another way, and may come later.
 */
export async function wasRetired(connection: Connection): Promise<boolean> {
  const giveUpAt = performance.now() + HEARS_WITHIN_MS
  while (!connection.isRetired && performance.now() < giveUpAt) await sleep(LOOK_EVERY_MS)
  return connection.isRetired
}
