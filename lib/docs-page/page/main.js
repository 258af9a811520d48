import { byId, itemId } from './dom.js'
import { endpointItem } from './endpoint.js'
import { functionItem } from './function.js'
import { ask, errorText, parseExactly } from './requests.js'
import { show, startSearch } from './search.js'
import { startSource } from './source.js'
import { startTheme } from './theme.js'

/** @typedef {import('./source.js').Source} Source */

/** The source that is asked for last: an answer to an earlier one is not shown. */
let asked = 0

/** @type {Source | undefined} */
let shown

/** @type {() => Record<string, string>} members that name the database of calls */
let owner = () => ({})

startTheme()
startSearch()
const place = new URLSearchParams(location.hash.slice(1))
startSource(
  { platform: place.get('platform') ?? '', schema: place.get('schema') ?? '' },
  showSource,
)

/**
 * Shows the document of a source. Another tenant alone changes where functions are called.
 * @param {Source} source
 */
async function showSource(source) {
  owner = () => ownerOf(source)
  const isSame = ['platform', 'schema', 'canTry'].every(
    (name) =>
      shown?.[/** @type {keyof Source} */ (name)] === source[/** @type {keyof Source} */ (name)],
  )
  if (isSame) return
  shown = source
  const mine = ++asked
  const query = new URLSearchParams({ platform: source.platform })
  if (source.schema !== '') query.set('schema', source.schema)
  const answer = await ask(source.platform === '' ? '/openapi.json' : `/openapi.json?${query}`)
  if (mine !== asked) return
  const document = answer.status === 200 ? parseExactly(answer.text) : undefined
  byId('error').textContent = document ? '' : errorText(answer)
  if (!document) show([], '')
  else if (source.platform === '') showEndpoints(document)
  else showFunctions(document, source)
  openPlace(source)
}

/** @param {any} document of OpenAPI */
function showEndpoints(document) {
  byId('release').textContent = document.info.version
  const schemas = document.components.schemas
  const items = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, one]) => endpointItem(method, path, one, schemas)),
  )
  show(items, 'endpoints')
}

/**
 * @param {any} document of OpenAPI
 * @param {Source} source
 */
function showFunctions(document, { canTry }) {
  const schemas = document.components.schemas
  const items = Object.values(document.paths).map(({ post }) =>
    functionItem(post.operationId, post, schemas, { owner: () => owner(), canTry }),
  )
  show(items, 'functions')
}

/** @param {Source} source */
function ownerOf({ platform, schema, tenant }) {
  /** @type {Record<string, string>} */
  const members = { platform }
  if (schema !== '') members.schema_name = schema
  if (tenant !== '') members[schema === '' ? 'tenant_id' : 'uuid'] = tenant
  return members
}

/**
 * Has the address name what is shown, and opens the item that it names.
 * @param {Source} source
 */
function openPlace({ platform, schema }) {
  const id = new URLSearchParams(location.hash.slice(1)).get('open')
  const item = id && document.getElementById(itemId(id))
  if (item instanceof HTMLDetailsElement) {
    item.open = true
    item.scrollIntoView()
  }
  const write = (/** @type {string | null} */ open) => {
    const entries = Object.entries({ platform, schema, open: open ?? '' })
    const hash = new URLSearchParams(entries.filter(([, value]) => value !== ''))
    history.replaceState(null, '', hash.size > 0 ? `#${hash}` : location.pathname)
  }
  write(item ? id : null)
  for (const one of document.querySelectorAll('details.item')) {
    one.addEventListener('toggle', () => {
      if (one instanceof HTMLDetailsElement && one.open) write(one.dataset.name ?? null)
    })
  }
}
