import { html } from '../html.js'
import { useResource } from '../resource.js'
import { linkTo } from '../store.js'
import { Loading } from './notice.js'

/**
 * Says that a page needs a platform, and offers those that there are.
 * @param {{ page: string, what: string }} props what: why it needs one
 */
export function PlatformNeeded({ page, what }) {
  const resource = useResource('/admin/platforms')
  const platforms = resource.data?.platforms ?? []
  return html`
    <p>${what}: choose one.</p>
    <${Loading} resource=${resource} />
    <ul class="cards">
      ${platforms.map(
        (/** @type {{ name: string }} */ { name }) =>
          html`<li class="card"><a href=${linkTo(page, { platform: name })}>${name}</a></li>`,
      )}
    </ul>
    ${resource.data && platforms.length === 0 && html`<p>No platform is registered, or none that your address may name.</p>`}
  `
}
