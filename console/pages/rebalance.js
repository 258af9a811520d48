import { useSignal } from '@preact/signals'
import { post } from '../api.js'
import { Act } from '../components/act.js'
import { Choice } from '../components/choice.js'
import { Dialog } from '../components/dialog.js'
import { formatBytes, formatCount, formatMs, plural } from '../components/format.js'
import { Away } from '../components/notice.js'
import { html } from '../html.js'
import { nameOf } from '../owner.js'
import { linkTo } from '../store.js'

/** Moves that are shown. */
const MOST = 200

/** @type {[string, string][]} */
const MEASURES = [
  ['databases', 'databases'],
  ['bytes', 'bytes'],
  ['load', 'load: how long calls kept connections in the last hour'],
]

/** Plans moves after which the PostgreSQL servers have alike much. @param {{ onClose: () => void }} props */
export function Rebalance({ onClose }) {
  const by = useSignal('databases')
  const plan = useSignal(/** @type {any} */ (null))
  const ask = async () => {
    plan.value = await post('/admin/rebalance', { by: by.value })
  }
  return html`
    <${Dialog} title="Plan of moves between servers" onClose=${onClose}>
      <p>A plan of moves after which the PostgreSQL servers have alike much. Nothing is moved: each tenant is moved by itself.</p>
      <p>
        <${Choice} label="Alike in" value=${by.value} choices=${MEASURES} any="" onChoose=${(
          /** @type {string} */ name,
        ) => {
          by.value = name
          plan.value = null
        }} />
      </p>
      ${plan.value && html`<${Plan} plan=${plan.value} />`}
      <p class="acts">
        <button type="button" onClick=${onClose}>Close</button>
        <${Act} label="Show the plan" kind="main" onAct=${ask} />
      </p>
    <//>
  `
}

/** @param {{ plan: any }} props */
function Plan({ plan }) {
  const { moves, before, after, count, moved_bytes, servers_away } = plan
  return html`
    <${Away} servers=${servers_away} />
    <h3>${count === 0 ? 'The servers have alike much' : `${plural(count, 'move')}, ${formatBytes(moved_bytes)}`}</h3>
    <table class="plain" aria-label="Servers">
      <thead><tr><th scope="col">Server</th><th scope="col">Databases</th><th scope="col">Size</th><th scope="col">Load</th></tr></thead>
      <tbody>
        ${before.map(
          (/** @type {any} */ one, /** @type {number} */ i) => html`
            <tr key=${one.server}>
              <th scope="row">${one.server}</th>
              <td>${change(one.databases, after[i].databases, formatCount)}</td>
              <td>${change(one.bytes, after[i].bytes, formatBytes)}</td>
              <td>${change(one.load, after[i].load, formatMs)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
    ${
      count > 0 &&
      html`
        <table class="plain" aria-label="Moves">
          <thead><tr><th scope="col">Tenant</th><th scope="col">Platform</th><th scope="col">From, to</th><th scope="col">Size</th></tr></thead>
          <tbody>
            ${moves.slice(0, MOST).map(
              (/** @type {any} */ one) => html`
                <tr key=${one.database}>
                  <th scope="row"><a href=${linkTo('fleet', { platform: one.platform, open: one.database })}>${nameOf(one)}</a></th>
                  <td>${one.platform}</td>
                  <td>${one.from} → ${one.to}</td>
                  <td>${formatBytes(one.bytes)}</td>
                </tr>`,
            )}
          </tbody>
        </table>
        ${moves.length > MOST && html`<p class="faint">and ${moves.length - MOST} more: POST /admin/rebalance has all</p>`}
      `
    }
  `
}

/**
 * @param {number} before @param {number} after
 * @param {(value: number) => string} format
 */
function change(before, after, format) {
  return before === after ? format(before) : `${format(before)} → ${format(after)}`
}
