import { byId } from './dom.js'

/** @type {{ element: HTMLElement, text: string }[]} */
let items = []
let what = ''

/** Has the search field filter the list; the key / goes to it, Escape empties it. */
export function startSearch() {
  const field = input()
  field.addEventListener('input', filter)
  field.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return
    field.value = ''
    filter()
  })
  document.addEventListener('keydown', (event) => {
    const isTyping =
      event.target instanceof Element && event.target.closest('input, textarea, select')
    if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || isTyping) return
    event.preventDefault()
    field.focus()
    field.select()
  })
}

/**
 * Shows these items, as far as they fit the search.
 * @param {{ element: HTMLElement, text: string }[]} all
 * @param {string} name what they are: 'functions'
 */
export function show(all, name) {
  items = all.map(({ element, text }) => ({ element, text: text.toLowerCase() }))
  what = name
  byId('items').replaceChildren(...items.map(({ element }) => element))
  filter()
}

/** An item fits where it has every word. */
function filter() {
  const words = input()
    .value.toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '')
  let count = 0
  for (const { element, text } of items) {
    const isFitting = words.every((word) => text.includes(word))
    element.hidden = !isFitting
    if (isFitting) count += 1
  }
  byId('status').textContent =
    what === ''
      ? ''
      : words.length === 0
        ? `${count} ${what}`
        : `${count} of ${items.length} ${what}`
}

/** @returns {HTMLInputElement} */
function input() {
  return byId('search')
}
