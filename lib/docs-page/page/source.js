import { byId, fill, h } from './dom.js'
import { ask, errorText, parseExactly } from './requests.js'

/**
 * What is shown: the endpoints, or the functions of a platform.
 * @typedef {object} Source
 * @property {string} platform '' for the endpoints
 * @property {string} schema name of a stored schema, or ''
 * @property {string} tenant '' for the main database
 * @property {boolean} canTry whether the client is an administrator
 */

/** @type {Source} */
const source = { platform: '', schema: '', tenant: '', canTry: false }

/** @type {(source: Source) => void} */
let onChange = () => {}

/**
 * Asks which platforms there are, draws the bar that chooses one, and calls `listener` with each choice.
 * @param {Pick<Source, 'platform' | 'schema'>} first
 * @param {(source: Source) => void} listener
 */
export async function startSource(first, listener) {
  Object.assign(source, first)
  onChange = listener
  await listPlatforms('')
}

/**
 * The list obeys the rules of administration: without the rights, the page describes and does not call.
 * The token is kept in this page alone.
 * @param {string} token
 */
async function listPlatforms(token) {
  const headers = token === '' ? {} : { authorization: `Bearer ${token}` }
  const answer = await ask('/admin/platforms', { headers: /** @type {HeadersInit} */ (headers) })
  source.canTry = answer.status === 200
  /** @type {{ name: string }[]} */
  const platforms = source.canTry ? (parseExactly(answer.text)?.platforms ?? []) : []
  const names = platforms.map(({ name }) => name)
  fill(
    byId('source'),
    source.canTry ? chooser(names) : platformField(),
    field('Schema', source.schema, 'none', (value) => change({ schema: value })),
    field('Tenant', source.tenant, 'the main database', (value) => change({ tenant: value })),
    answer.status === 401 && tokenForm(token !== ''),
    !source.canTry &&
      answer.status !== 401 &&
      h('p', {}, `Forms are for administrators: ${errorText(answer)}`),
  )
  update()
}

/** @param {Partial<Source>} values */
function change(values) {
  Object.assign(source, values)
  update()
}

function update() {
  byId('source').dataset.platform = source.platform
  onChange({ ...source })
}

/** @param {string[]} names */
function chooser(names) {
  // A platform of the address that the list does not have: its error says so.
  const all =
    source.platform === '' || names.includes(source.platform) ? names : [source.platform, ...names]
  const select = h(
    'select',
    { onchange: () => change({ platform: select.value }) },
    h('option', { value: '' }, 'The endpoints'),
    h(
      'optgroup',
      { label: 'Functions of' },
      ...all.map((name) => h('option', { value: name }, name)),
    ),
  )
  select.value = source.platform
  return h('label', { class: 'chooser' }, h('span', {}, 'Show'), select)
}

function platformField() {
  return field('Platform', source.platform, 'none: the endpoints', (value) =>
    change({ platform: value }),
  )
}

/**
 * @param {string} label
 * @param {string} value
 * @param {string} placeholder
 * @param {(value: string) => void} listener
 */
function field(label, value, placeholder, listener) {
  const input = h('input', {
    value,
    placeholder,
    autocomplete: 'off',
    autocapitalize: 'off',
    spellcheck: 'false',
    onchange: () => listener(input.value.trim()),
  })
  return h('label', { class: label.toLowerCase() }, h('span', {}, label), input)
}

/** @param {boolean} isWrong */
function tokenForm(isWrong) {
  const input = h('input', { type: 'password', autocomplete: 'current-password', required: true })
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault()
    listPlatforms(input.value)
  }
  return h(
    'form',
    { class: 'token', onsubmit: submit },
    h('label', {}, h('span', {}, 'Admin token'), input),
    h('button', { type: 'submit' }, 'Use'),
    isWrong && h('span', { role: 'alert', class: 'failed' }, 'The token is not right.'),
  )
}
