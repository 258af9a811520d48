import { toJson } from 'docs/parameters'
import { inputOf, mayBeNull, typeName } from 'docs/schema'
import { html } from '../html.js'

/**
 * What is typed for a parameter.
 * @typedef {object} Value
 * @property {import('docs/parameters').Parameter} parameter
 * @property {import('docs/schema').Kind} kind
 * @property {string[]} choices
 * @property {'default' | 'value' | 'null'} sent
 * @property {string} text
 */

/**
 * @param {import('docs/parameters').Parameter[]} parameters
 * @param {import('docs/schema').Schemas} schemas
 * @returns {Value[]}
 */
export function newValues(parameters, schemas) {
  return parameters.map((parameter) => {
    const { kind, choices } = inputOf(parameter.schema, schemas)
    const sent = parameter.isRequired ? 'value' : 'default'
    return { parameter, kind, choices, sent, text: choices[0] ?? '' }
  })
}

/** What `paramsText` reads the values by. @param {Value[]} values */
export function readers(values) {
  return values.map(({ parameter: { name }, kind, sent, text }) => ({
    name,
    read: () =>
      sent === 'default' ? undefined : sent === 'null' ? 'null' : toJson(name, kind, text),
  }))
}

/**
 * A field for each parameter.
 * @param {{ values: import('@preact/signals').Signal<Value[]>, schemas: import('docs/schema').Schemas }} props
 */
export function Parameters({ values, schemas }) {
  const set = (/** @type {number} */ at, /** @type {Partial<Value>} */ changes) => {
    values.value = values.value.map((one, i) => (i === at ? { ...one, ...changes } : one))
  }
  return html`${values.value.map((one, i) => {
    const { parameter, sent } = one
    const { name, schema, isRequired } = parameter
    return html`
      <div class="block" key=${name}>
        <label>
          <code>${name}</code> <span class="faint">${typeName(schema, schemas)}${isRequired ? ', required' : ''}</span>
          <${Input} value=${one} onInput=${(/** @type {string} */ text) => set(i, { text, sent: 'value' })} />
        </label>
        ${schema.description && html`<small class="faint">${schema.description}</small>`}
        ${
          (!isRequired || mayBeNull(schema, schemas)) &&
          html`
            <select aria-label=${`What is sent as ${name}`} value=${sent} onChange=${(/** @type {any} */ event) => set(i, { sent: event.currentTarget.value })}>
              ${!isRequired && html`<option value="default">the default${schema['x-default'] ? `: ${schema['x-default']}` : ''}</option>`}
              <option value="value">the value</option>
              ${mayBeNull(schema, schemas) && html`<option value="null">null</option>`}
            </select>`
        }
      </div>`
  })}`
}

/** @param {{ value: Value, onInput: (text: string) => void }} props */
function Input({ value: { kind, choices, text, parameter }, onInput }) {
  const typed = (/** @type {any} */ event) => onInput(event.currentTarget.value)
  if (choices.length > 0) {
    return html`<select value=${text} onChange=${typed}>${choices.map((one) => html`<option value=${one}>${one}</option>`)}</select>`
  }
  if (kind === 'json') {
    return html`<textarea rows="2" placeholder="JSON" spellcheck=${false} value=${text} onInput=${typed}></textarea>`
  }
  return html`<input
    autocomplete="off"
    autocapitalize="off"
    spellcheck=${false}
    inputmode=${kind === 'number' ? 'decimal' : undefined}
    placeholder=${parameter.schema['x-default'] ?? ''}
    value=${text}
    onInput=${typed}
  />`
}
