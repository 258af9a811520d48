import { h, inline, itemId, prose, table } from './dom.js'
import { typeName } from './schema.js'

/** @typedef {import('./dom.js').Child} Child */

/**
 * Makes the item of an endpoint.
 * @param {string} method
 * @param {string} path
 * @param {any} operation of OpenAPI
 * @param {import('./schema.js').Schemas} schemas
 */
export function endpointItem(method, path, operation, schemas) {
  const id = operation.operationId
  const name = `${method.toUpperCase()} ${path}`
  const element = h(
    'details',
    { id: itemId(id), 'data-name': id, class: 'item' },
    h(
      'summary',
      {},
      h('span', { class: `method ${method}` }, method.toUpperCase()),
      ' ',
      h('code', { class: 'name' }, path),
      ' ',
      h('span', { class: 'about' }, operation.summary),
    ),
    h('div', { class: 'inside' }, ...prose(operation.description), ...parts(operation, schemas)),
  )
  return { element, text: `${name} ${operation.summary}` }
}

/**
 * @param {any} operation
 * @param {import('./schema.js').Schemas} schemas
 * @returns {Child[]}
 */
function parts({ parameters = [], requestBody, responses, security }, schemas) {
  /** @type {Child[]} */
  const all = []
  if (security) {
    all.push(
      h('p', {}, 'For administrators: an address in ADMIN_NETWORKS, and a token where one is set.'),
    )
  }
  /** @type {(name: string, schema: any, place: string, required: boolean) => Child[]} */
  const row = (name, schema, place, required) => [
    h('code', {}, name),
    h('code', {}, typeName(schema, schemas)),
    place + (required ? ', required' : ''),
    h('span', {}, ...inline(schema.description ?? '')),
  ]
  const rows = parameters.map((/** @type {any} */ one) =>
    row(one.name, one.schema, one.in, one.required),
  )
  for (const [type, { schema, example }] of Object.entries(requestBody?.content ?? {})) {
    const place = type === 'application/json' ? 'body' : 'form'
    for (const [name, one] of Object.entries(schema?.properties ?? {})) {
      rows.push(row(name, one, place, schema.required?.includes(name)))
    }
    if (!schema) all.push(h('p', {}, 'The body is ', h('code', {}, type), '.'))
    if (example && place === 'body') all.push(h('h3', {}, 'Request'), json(example))
  }
  if (rows.length > 0) all.unshift(table(['name', 'type', 'where', 'what it says'], rows))
  return [...all, ...answers(responses)]
}

/**
 * @param {Record<string, any>} responses
 * @returns {Child[]}
 */
function answers(responses) {
  /** @type {Child[]} */
  const all = []
  /** @type {Child[][]} */
  const errors = []
  for (const [status, { description, content = {} }] of Object.entries(responses)) {
    if (status.startsWith('2')) {
      for (const [type, { example }] of Object.entries(content)) {
        all.push(h('h3', {}, `Answer: ${status} ${type}`))
        if (example !== undefined) all.push(json(example))
      }
    } else if (status !== 'default') {
      errors.push([status, h('div', {}, ...prose(description))])
    }
  }
  if (errors.length > 0) all.push(h('h3', {}, 'Errors'), table(['status', 'error'], errors))
  return all
}

/** @param {unknown} value */
function json(value) {
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2)
  return h('pre', { tabindex: 0 }, text)
}
