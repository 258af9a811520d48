import { html } from '../html.js'
import { useResource } from '../resource.js'
import { linkTo, live, overview, platform, route, setParams } from '../store.js'
import { Choice } from './choice.js'
import { formatCount } from './format.js'
import { ThemeChoice } from './theme.js'

/**
 * The head of each page: the menu, the platform, whether what is shown is live.
 * @param {{ pages: Record<string, { title: string }>, current: string }} props
 */
export function Top({ pages, current }) {
  const links = Object.entries(pages).map(
    ([name, { title }]) => html`
      <a href=${linkTo(name, { platform: platform.value })} aria-current=${name === current ? 'page' : undefined}>
        ${title}
      </a>`,
  )
  return html`
    <header class="top">
      <h1>Database Gateway</h1>
      <nav aria-label="Pages">${links}</nav>
      <${PlatformChoice} />
      <${Live} />
      <${ThemeChoice} />
    </header>
  `
}

function PlatformChoice() {
  const { data } = useResource('/admin/platforms')
  const platforms = data?.platforms ?? []
  return html`<${Choice}
    key=${`${route.value.page} ${platforms.length}`}
    label="Platform"
    value=${platform.value}
    any="all"
    choices=${platforms.map((/** @type {{ name: string }} */ { name }) => [name, name])}
    onChoose=${(/** @type {string} */ name) => setParams({ platform: name, open: '' })}
  />`
}

function Live() {
  const { state, why } = live.value
  const now = overview.value
  const text = { live: 'live', connecting: 'connecting…', silent: why, off: 'not live' }[state]
  const isOff = state === 'silent' || state === 'off'
  const calls = state === 'live' && now ? `${formatCount(now.calls_per_s)} calls/s` : ''
  const lost = now?.postgres?.reachable === false
  return html`
    <p class="live">
      <span class=${`dot ${lost ? 'bad' : isOff ? 'off' : state}`} aria-hidden="true"></span>
      <span title=${why}>${lost ? 'PostgreSQL does not answer' : text}</span>
      ${calls && html`<span class="faint">${calls}</span>`}
      ${state === 'off' && html`<span class="faint">${why}</span>`}
    </p>
  `
}
