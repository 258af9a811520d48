import { onEvent } from './events.js'

/** Milliseconds between two requests, where much happens. */
const AT_MOST_EVERY = 2000

/** What takes long to read is read for a tenth of the time at most. */
const SHARE = 10

/**
 * Reloads soon after an event of a name, and when the stream was opened again.
 * @param {string} name
 * @param {() => unknown} reload
 * @param {(event: any) => boolean} [isMeant] events that count; all by default
 * @returns {() => void} ends it
 */
export function reloadOn(name, reload, isMeant = () => true) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer
  let pause = AT_MOST_EVERY
  const soon = () => {
    timer ??= setTimeout(async () => {
      timer = undefined
      const startedAt = performance.now()
      await reload()
      pause = Math.max(AT_MOST_EVERY, SHARE * (performance.now() - startedAt))
    }, pause)
  }
  const ends = [onEvent(name, (event) => isMeant(event) && soon()), onEvent('open', soon)]
  return () => {
    clearTimeout(timer)
    for (const end of ends) end()
  }
}
