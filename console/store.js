import { computed, signal } from '@preact/signals'

/**
 * Where the console is: `#/fleet?platform=clinic`.
 * @typedef {object} Route
 * @property {string} page
 * @property {Record<string, string>} params
 */

/** The admin token. It is kept here alone, and is gone with the page. */
export const token = signal('')

/** Whether the gateway asks for a token: 'wrong' where it refused the last one. */
export const tokenAsked = signal(/** @type {'' | 'none' | 'wrong'} */ (''))

/** Whether events arrive, or why they do not; `silent`: the gateway was heard, and is not any more. */
export const live = signal(
  /** @type {{ state: 'connecting' | 'live' | 'silent' | 'off', why: string }} */ ({
    state: 'connecting',
    why: '',
  }),
)

/** The last `overview` event; null before the first. */
export const overview = signal(/** @type {Record<string, any> | null} */ (null))

/** What screen readers are told; the newest alone. */
export const announcement = signal('')

/** @type {import('@preact/signals').Signal<Route>} */
export const route = signal(parseHash(location.hash))

/** The platform that every page is about; '' for all. */
export const platform = computed(() => route.value.params.platform ?? '')

addEventListener('hashchange', () => {
  route.value = parseHash(location.hash)
})

/** @param {string} hash @returns {Route} */
function parseHash(hash) {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?')
  return { page: path || 'fleet', params: Object.fromEntries(new URLSearchParams(query)) }
}

/**
 * Returns the link of a page. Parameters without a value are left out.
 * @param {string} page
 * @param {Record<string, string | undefined>} [params]
 */
export function linkTo(page, params = {}) {
  const given = Object.entries(params).filter(([, value]) => value !== undefined && value !== '')
  const query = new URLSearchParams(/** @type {[string, string][]} */ (given))
  return `#/${page}${given.length > 0 ? `?${query}` : ''}`
}

/**
 * Changes parameters of the page shown; '' and undefined take one away.
 * @param {Record<string, string | undefined>} changes
 * @param {{ replace?: boolean }} [options] replace: going back does not come here, as with each letter typed
 */
export function setParams(changes, { replace = false } = {}) {
  const { page, params } = route.value
  const link = linkTo(page, { ...params, ...changes })
  if (!replace) location.hash = link
  else {
    history.replaceState(null, '', link)
    route.value = parseHash(link)
  }
}

/**
 * Has screen readers say a text.
 * @param {string} text
 */
export function announce(text) {
  announcement.value = text
}
