import { render } from 'preact'
import { TokenDialog } from './components/token-dialog.js'
import { Top } from './components/top.js'
import { listen } from './events.js'
import { html } from './html.js'
import { Audit } from './pages/audit.js'
import { Deploys } from './pages/deploys.js'
import { Fleet } from './pages/fleet.js'
import { Functions } from './pages/functions.js'
import { Now } from './pages/now.js'
import { announcement, route } from './store.js'

/** The pages by name, in the order of the menu. */
const PAGES = {
  fleet: { title: 'Fleet', Page: Fleet },
  deploys: { title: 'Deploys', Page: Deploys },
  now: { title: 'Now', Page: Now },
  functions: { title: 'Functions', Page: Functions },
  audit: { title: 'Audit', Page: Audit },
}

function App() {
  const name = route.value.page
  // An address is anything: #/constructor is a member of every object.
  const page = Object.hasOwn(PAGES, name) ? PAGES[/** @type {keyof typeof PAGES} */ (name)] : null
  document.title = `${page?.title ?? 'Not found'} · Database Gateway`
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the page</a>
    <${Top} pages=${PAGES} current=${name} />
    <main id="main" tabindex="-1">
      ${page ? html`<${page.Page} key=${name} />` : html`<p>There is no page ${name}.</p>`}
    </main>
    <p class="unseen" role="status" aria-live="polite">${announcement}</p>
    <${TokenDialog} />
  `
}

/** The hash names the page: the link of the skip itself would leave it. @param {Event} event */
function skip(event) {
  event.preventDefault()
  document.getElementById('main')?.focus()
}

const root = /** @type {HTMLElement} */ (document.getElementById('app'))
root.replaceChildren()
render(html`<${App} />`, root)
listen()
