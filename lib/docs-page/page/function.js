import { showAnswer } from './answer.js'
import { h, inline, itemId, prose, table } from './dom.js'
import { makeField } from './field.js'
import { parametersOf, paramsText } from './parameters.js'
import { ask } from './requests.js'
import { membersOf, typeName } from './schema.js'

/** @typedef {import('./schema.js').Schema} Schema */
/** @typedef {import('./schema.js').Schemas} Schemas */

/**
 * Where functions are called.
 * @typedef {object} Place
 * @property {() => Record<string, string>} owner members that name the database
 * @property {boolean} canTry whether the forms are shown
 */

/**
 * Makes the item of a function. Its inside is made when it is opened first.
 * @param {string} id
 * @param {any} operation of OpenAPI
 * @param {Schemas} schemas
 * @param {Place} place
 */
export function functionItem(id, operation, schemas, place) {
  const { parameters, isByName, isVariadic } = parametersOf(operation)
  const signature = parameters.map(({ name, schema }) => `${name} ${typeName(schema, schemas)}`)
  const name = operation.requestBody.content['application/json'].schema.properties.function.const
  const element = h(
    'details',
    { id: itemId(id), 'data-name': id, class: 'item' },
    h(
      'summary',
      {},
      h('code', { class: 'name' }, name),
      h('code', { class: 'signature' }, `(${signature.join(', ')})`),
      ' ',
      h('span', { class: `kind ${operation['x-volatility']}` }, kindOf(operation)),
      ' ',
      h('span', { class: 'about' }, operation.summary === name ? '' : operation.summary),
    ),
  )
  const fill = () => {
    const form =
      place.canTry && makeForm(name, parameters, { isByName, isVariadic }, schemas, place)
    element.append(
      h(
        'div',
        { class: 'inside' },
        ...prose(operation.description),
        form || described(parameters, schemas),
        ...results(operation, schemas),
      ),
    )
  }
  element.addEventListener('toggle', fill, { once: true })
  return {
    element,
    text: `${id} ${signature.join(' ')} ${operation.summary} ${operation.description ?? ''}`,
  }
}

/** @param {any} operation */
function kindOf(operation) {
  return operation['x-kind'] === 'procedure' ? 'procedure' : operation['x-volatility']
}

/**
 * @param {import('./parameters.js').Parameter[]} parameters
 * @param {Schemas} schemas
 */
function described(parameters, schemas) {
  const rows = parameters.map(({ name, schema, isRequired }) => [
    h('code', {}, name),
    h('code', {}, typeName(schema, schemas)),
    isRequired ? 'required' : (schema['x-default'] ?? ''),
    h('span', {}, ...inline(schema.description ?? '')),
  ])
  return rows.length > 0 && table(['parameter', 'type', 'default', 'what it says'], rows)
}

/**
 * @param {any} operation
 * @param {Schemas} schemas
 * @returns {import('./dom.js').Child[]}
 */
function results(operation, schemas) {
  const rows = operation.responses[200].content['application/json'].schema.properties.rows
  const columns = membersOf(rows.items, schemas).map(([name, schema]) => [
    h('code', {}, name),
    h('code', {}, typeName(schema, schemas)),
    h('span', {}, ...inline(schema.description ?? '')),
  ])
  const errors = Object.values(operation.responses).flatMap(
    (response) => response['x-sqlstates'] ?? [],
  )
  return [
    columns.length > 0 &&
      h('h3', {}, rows.maxItems === 1 ? 'Columns of the row' : 'Columns of the rows'),
    columns.length > 0 && table(['column', 'type', 'what it says'], columns),
    errors.length > 0 && h('h3', {}, 'Errors'),
    errors.length > 0 &&
      table(
        ['SQLSTATE', 'what it says'],
        errors.map(({ sqlstate, about }) => [h('code', {}, sqlstate), about]),
      ),
  ]
}

/**
 * @param {string} name
 * @param {import('./parameters.js').Parameter[]} parameters
 * @param {{ isByName: boolean, isVariadic: boolean }} manner
 * @param {Schemas} schemas
 * @param {Place} place
 */
function makeForm(name, parameters, manner, schemas, place) {
  const fields = parameters.map((parameter) => makeField(parameter, schemas))
  const output = h('div', { class: 'answer', 'aria-live': 'polite' })
  const button = h('button', { type: 'submit' }, 'Call')
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault()
    if (button.disabled) return
    try {
      const params = paramsText(fields, manner)
      const members = { ...place.owner(), function: name }
      const body = `${JSON.stringify(members).slice(0, -1)},"params":${params}}`
      button.disabled = true
      const headers = { 'content-type': 'application/json' }
      const answer = await ask('/call', { method: 'POST', headers, body })
      showAnswer(output, answer, body)
    } catch (error) {
      output.replaceChildren(h('p', { class: 'failed' }, /** @type {Error} */ (error).message))
    } finally {
      button.disabled = false
    }
  }
  const all = [...fields.map(({ element }) => element), h('p', {}, button), output]
  return h('form', { onsubmit: submit, 'aria-label': `Call ${name}`, novalidate: true }, ...all)
}
