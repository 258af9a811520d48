import { h, inline } from './dom.js'
import { inputOf, mayBeNull, typeName } from './schema.js'

/**
 * A parameter as the form knows it.
 * @typedef {object} Parameter
 * @property {string} name
 * @property {import('./schema.js').Schema} schema
 * @property {boolean} isRequired
 */

/**
 * @typedef {object} Field
 * @property {HTMLElement} element
 * @property {string} name
 * @property {() => string | undefined} read the JSON of the value; undefined where it is left out
 */

/** A number as JSON writes it. Its digits are sent as they are typed. */
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/

let count = 0

/**
 * Makes the field of a parameter: what is sent (a value, null, or nothing, so that the default holds),
 * and the value.
 * @param {Parameter} parameter
 * @param {import('./schema.js').Schemas} schemas
 * @returns {Field}
 */
export function makeField({ name, schema, isRequired }, schemas) {
  const id = `field-${++count}`
  const { kind, choices } = inputOf(schema, schemas)
  const sent = h(
    'select',
    { 'aria-label': `What is sent as ${name}` },
    !isRequired && h('option', { value: 'default' }, 'default'),
    h('option', { value: 'value' }, 'value'),
    mayBeNull(schema, schemas) && h('option', { value: 'null' }, 'null'),
  )
  const input = makeInput(kind, choices, {
    id,
    placeholder: schema['x-default'] ?? (kind === 'json' ? 'JSON' : ''),
    'aria-describedby': `${id}-about`,
  })
  // Who types a value wants it sent.
  input.addEventListener('input', () => {
    sent.value = 'value'
  })
  const label = h(
    'label',
    { for: id },
    h('code', {}, name),
    ' ',
    h('span', { class: 'type' }, typeName(schema, schemas)),
    isRequired && h('span', { class: 'required' }, ' required'),
  )
  const about = h('div', { id: `${id}-about`, class: 'about' }, ...inline(schema.description ?? ''))
  const element = h(
    'div',
    { class: 'field' },
    label,
    h('div', { class: 'row' }, sent, input),
    about,
  )
  const read = () => {
    if (sent.value === 'default') return undefined
    return sent.value === 'null' ? 'null' : toJson(name, kind, input.value)
  }
  return { element, name, read }
}

/**
 * @param {import('./schema.js').Kind} kind
 * @param {string[]} choices
 * @param {Record<string, string>} attributes
 * @returns {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement}
 */
function makeInput(kind, choices, attributes) {
  const { placeholder, ...rest } = attributes
  if (choices.length > 0) {
    return h('select', rest, ...choices.map((one) => h('option', {}, one)))
  }
  const plain = { ...attributes, spellcheck: 'false', autocomplete: 'off', autocapitalize: 'off' }
  if (kind === 'json') return h('textarea', { ...plain, rows: 2 })
  return h('input', { ...plain, type: 'text', inputmode: kind === 'number' ? 'decimal' : false })
}

/**
 * Writes a typed value as JSON. A number that JSON cannot write (NaN) is sent as text, which
 * PostgreSQL reads.
 * @param {string} name
 * @param {import('./schema.js').Kind} kind
 * @param {string} text
 * @throws {Error} naming the parameter, if it should be JSON and is not
 */
export function toJson(name, kind, text) {
  if (kind === 'boolean') return text
  if (kind === 'number') return NUMBER.test(text.trim()) ? text.trim() : JSON.stringify(text)
  if (kind !== 'json') return JSON.stringify(text)
  try {
    JSON.parse(text)
  } catch (error) {
    throw new Error(`${name} is not JSON: ${/** @type {Error} */ (error).message}`)
  }
  return text.trim()
}
