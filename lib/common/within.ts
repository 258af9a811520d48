import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Returns what a promise resolves to, or undefined if it does not within some milliseconds.
 * What it is waited for goes on.
 */
export async function withinMs<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  const ending = new AbortController()
  const late = sleep(ms, undefined, { signal: ending.signal }).catch(() => undefined)
  try {
    return await Promise.race([promise, late])
  } finally {
    ending.abort()
  }
}
