import { setTimeout as sleep } from 'node:timers/promises'
import { send, type World } from './calls.ts'
import { PLATFORM } from './platform.ts'
import type { Answer } from './tally.ts'

/** What an open console asks for, and how often. */
const PAGES = [
  `/admin/fleet?platform=${PLATFORM}`,
  '/admin/activity',
  `/admin/functions?platform=${PLATFORM}`,
  `/admin/slow?platform=${PLATFORM}`,
  `/admin/audit?platform=${PLATFORM}&limit=50`,
]
const ASK_EVERY_MS = 2000
const SCRAPE_EVERY_MS = 5000
const STREAMS = 3
/** One of the streams reads a piece, and then sleeps so long. */
const SLOW_READER_MS = 20_000

/** Operators with open consoles, and a Prometheus that scrapes, until the end. */
export async function keepWatching(world: World): Promise<void> {
  const streams = Array.from({ length: STREAMS }, (_, i) =>
    keepStreaming(world, i === 0 ? SLOW_READER_MS : 0),
  )
  await Promise.all([
    ...streams,
    ...PAGES.map((path) => keepAsking(world, path, ASK_EVERY_MS)),
    keepAsking(world, '/metrics', SCRAPE_EVERY_MS),
  ])
}

async function keepAsking(world: World, path: string, everyMs: number): Promise<void> {
  const kind = `GET ${path.replace(/\?.*/, '')}`
  while (!world.signal.aborted) {
    await world.tally.request(
      kind,
      () => send(world.gatewayUrl + path, { method: 'GET' }),
      ({ status }: Answer) => (status === 200 ? undefined : 'not 200'),
    )
    await sleep(everyMs, undefined, { signal: world.signal }).catch(() => {})
  }
}

/** Reads a stream of events, and opens it again when it ends. */
async function keepStreaming(world: World, pauseMs: number): Promise<void> {
  while (!world.signal.aborted) {
    const response = await fetch(`${world.gatewayUrl}/admin/events`, {
      signal: world.signal,
    }).catch(() => undefined)
    try {
      for await (const _ of response?.body ?? []) {
        if (pauseMs > 0) await sleep(pauseMs, undefined, { signal: world.signal })
      }
    } catch {
      // Cut, or over.
    }
    await sleep(ASK_EVERY_MS, undefined, { signal: world.signal }).catch(() => {})
  }
}
