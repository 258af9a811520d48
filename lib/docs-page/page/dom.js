/** @typedef {Node | string | null | undefined | false} Child null, undefined and false are left out */

/**
 * Makes an element.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, unknown>} [options] attributes; `on…` are listeners, false and undefined are left out
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, options = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(options)) {
    if (typeof value === 'function') {
      element.addEventListener(name.slice(2), /** @type {EventListener} */ (value))
    } else if (value !== false && value !== undefined) {
      element.setAttribute(name, value === true ? '' : String(value))
    }
  }
  fill(element, ...children)
  return element
}

/**
 * Replaces what is in an element.
 * @param {HTMLElement} element
 * @param {...Child} children
 */
export function fill(element, ...children) {
  element.replaceChildren(...children.flatMap((child) => (child || child === '' ? child : [])))
}

/**
 * Returns the element of the document with this id.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function byId(id) {
  return /** @type {T} */ (document.getElementById(id))
}

/**
 * Returns the id of an item of the list, which no other element of the page has.
 * @param {string} name
 */
export function itemId(name) {
  return `item ${name}`
}

/**
 * Makes paragraphs of a text, in which `…` is code.
 * @param {string | undefined} text
 * @returns {HTMLElement[]}
 */
export function prose(text = '') {
  return text
    .split(/\n{2,}/)
    .filter((part) => part.trim() !== '')
    .map((part) => h('p', {}, ...inline(part)))
}

/**
 * @param {string} text
 * @returns {Child[]}
 */
export function inline(text) {
  return text.split(/`([^`]*)`/).map((part, i) => (i % 2 === 1 ? h('code', {}, part) : part))
}

/**
 * @param {string[]} heads
 * @param {Child[][]} rows
 * @returns {HTMLElement}
 */
export function table(heads, rows) {
  const cells = (/** @type {Child[]} */ row) => row.map((cell) => h('td', {}, cell))
  // It scrolls by itself where it is too wide, so that the page does not; a key scrolls what has the focus.
  return h(
    'div',
    { class: 'wide', tabindex: 0, role: 'group', 'aria-label': `Table: ${heads.join(', ')}` },
    h(
      'table',
      {},
      h('thead', {}, h('tr', {}, ...heads.map((head) => h('th', { scope: 'col' }, head)))),
      h('tbody', {}, ...rows.map((row) => h('tr', {}, ...cells(row)))),
    ),
  )
}
