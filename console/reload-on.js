import { onEvent } from './events.js'

/** Milliseconds between two requests, where much happens. */
const AT_MOST_EVERY = 2000

/**
 * Reloads soon after an event.
 * @param {string[]} names of events
 * @param {() => void} reload
 * @returns {() => void} ends it
 */
export function reloadOn(names, reload) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer
  const soon = () => {
    timer ??= setTimeout(() => {
      timer = undefined
      reload()
    }, AT_MOST_EVERY)
  }
  const ends = names.map((name) => onEvent(name, soon))
  return () => {
    clearTimeout(timer)
    for (const end of ends) end()
  }
}
