import { ApiError, readLines, send } from './api.js'
import { live, overview } from './store.js'

/** @typedef {(data: any) => void} Listener */

/** Milliseconds until the stream is opened again, at first and at most. */
const FIRST_PAUSE = 1000
const LONGEST_PAUSE = 15_000

/** Milliseconds without a sign of life after which that is said: the gateway sends one each 5 s. */
const QUIET = 12_000

/** A stream without a sign of life for so long is lost, and so is one that does not begin. */
const SILENCE = 30_000

/** When the gateway was heard last; undefined where nothing is expected of it. */
let heardAt = /** @type {number | undefined} */ (undefined)

/** @type {Map<string, Set<Listener>>} */
const listeners = new Map()

/**
 * Calls a listener with each event of this name.
 * @param {string} name
 * @param {Listener} listener
 * @returns {() => void} ends it
 */
export function onEvent(name, listener) {
  const all = listeners.get(name) ?? new Set()
  listeners.set(name, all.add(listener))
  return () => all.delete(listener)
}

/** Keeps the stream of events open while the page is seen. */
export async function listen() {
  onEvent('overview', (data) => {
    overview.value = data
  })
  setInterval(sayQuiet, 1000)
  let pause = FIRST_PAUSE
  for (;;) {
    if (document.hidden) heardAt = undefined
    await untilVisible()
    const startedAt = performance.now()
    try {
      await readStream()
      if (live.value.state !== 'silent') live.value = { state: 'connecting', why: '' }
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      heardAt = undefined
      live.value = { state: 'off', why }
      // A gateway of an earlier release: there is nothing to wait for.
      if (error instanceof ApiError && error.status === 404) return
    }
    pause = performance.now() - startedAt > LONGEST_PAUSE ? FIRST_PAUSE : pause
    if (!document.hidden) await new Promise((resolve) => setTimeout(resolve, pause))
    pause = Math.min(pause * 2, LONGEST_PAUSE)
  }
}

/** Says for how long the gateway has not been heard. */
function sayQuiet() {
  if (heardAt === undefined || document.hidden) return
  const quiet = performance.now() - heardAt
  if (quiet < QUIET) return
  live.value = { state: 'silent', why: `no answer for ${Math.round(quiet / 1000)} s` }
}

/** @returns {Promise<void>} */
function untilVisible() {
  if (!document.hidden) return Promise.resolve()
  return new Promise((resolve) => {
    document.addEventListener('visibilitychange', () => resolve(), { once: true })
  })
}

/** Reads one stream, until it ends, is silent, or nobody sees the page. */
async function readStream() {
  const stop = new AbortController()
  const onHidden = () => document.hidden && stop.abort()
  let lastAt = performance.now()
  const timer = setInterval(() => {
    if (performance.now() - lastAt > SILENCE) stop.abort()
  }, 1000)
  const hear = () => {
    lastAt = performance.now()
    heardAt = lastAt
    if (live.value.state !== 'live') live.value = { state: 'live', why: '' }
  }
  document.addEventListener('visibilitychange', onHidden)
  try {
    const headers = { accept: 'text/event-stream' }
    const response = await send('/admin/events', { headers, signal: stop.signal })
    hear()
    tell('open', null)
    let name = 'message'
    let data = ''
    await readLines(response, (line) => {
      hear()
      if (line.startsWith('event:')) name = line.slice(6).trim()
      else if (line.startsWith('data:')) data += line.slice(5)
      else if (line === '') {
        if (data !== '') tell(name, JSON.parse(data))
        name = 'message'
        data = ''
      }
    })
  } catch (error) {
    if (!stop.signal.aborted) throw error
  } finally {
    clearInterval(timer)
    document.removeEventListener('visibilitychange', onHidden)
  }
}

/** @param {string} name @param {any} data */
function tell(name, data) {
  for (const listener of listeners.get(name) ?? []) listener(data)
}
