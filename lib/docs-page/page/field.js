import { h, inline } from './dom.js'
import { toJson } from './parameters.js'
import { inputOf, mayBeNull, typeName } from './schema.js'

/**
 * @typedef {object} Field
 * @property {HTMLElement} element
 * @property {string} name
 * @property {() => string | undefined} read the JSON of the value; undefined where it is left out
 */

let count = 0

/**
 * Makes the field of a parameter: what is sent (a value, null, or nothing, so that the default holds),
 * and the value.
 * @param {import('./parameters.js').Parameter} parameter
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
