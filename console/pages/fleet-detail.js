import { Badge } from '../components/badge.js'
import { Dialog } from '../components/dialog.js'
import {
  formatBytes,
  formatChecksum,
  formatCount,
  formatMs,
  formatTime,
} from '../components/format.js'
import { Loading, Notice } from '../components/notice.js'
import { html } from '../html.js'
import { labelWords } from '../labels.js'
import { nameOf, ownerOf } from '../owner.js'
import { useResource } from '../resource.js'
import { linkTo } from '../store.js'
import { Changes } from './changes.js'
import { Drift } from './drift.js'
import { TenantActs } from './tenant-acts.js'

/** Deploys of the database that are shown. */
const DEPLOYS = 10

/**
 * One database: its state and why, what differs, its deploys, and what can be done with it.
 * @param {object} props
 * @param {any} props.row
 * @param {any} props.sum
 * @param {any} props.can
 * @param {string[]} [props.servers] undefined without SERVERS
 * @param {any} [props.move] its move to another server, while it runs
 * @param {() => void} props.onClose
 * @param {() => void} props.reload
 */
export function DatabaseDetail({ row, sum, can, servers, move, onClose, reload }) {
  const deploys = useResource('/admin/deployments', { ...ownerOf(row), limit: DEPLOYS })
  const all = deploys.data?.deployments ?? []
  const last = all[0]
  return html`
    <${Dialog} title=${nameOf(row)} side onClose=${onClose}>
      <dl>
        <dt>State</dt><dd><${Badge} state=${row.state} /> ${reasonOf(row, sum)}</dd>
        <dt>Database</dt><dd><code>${row.database}</code></dd>
        ${row.server && html`<dt>Server</dt><dd>${row.server}${move && `, being moved to ${move.to}: ${move.phase}`}</dd>`}
        <dt>Archive</dt><dd><code>${row.schema ?? 'none'}</code></dd>
        <dt>Last deploy</dt><dd>${formatTime(row.last_deployed_at)}</dd>
        <dt>Size</dt><dd>${formatBytes(row.size_bytes)}</dd>
        <dt>Today</dt><dd>${formatCount(row.calls)} calls, ${formatCount(row.errors)} errors</dd>
        ${
          labelWords(row.labels ?? {}).length > 0 &&
          html`
          <dt>Labels</dt>
          <dd>${labelWords(row.labels).map((word) => html`<span class="label">${word}</span>`)}</dd>`
        }
      </dl>
      ${row.error && html`<${Notice} error=${last?.error ?? row.error} />`}
      <${TenantActs} row=${row} sum=${sum} can=${can} servers=${servers} move=${move} reload=${reload} onGone=${onClose} />
      ${
        row.pending &&
        sum.schema &&
        html`
        <h3>What differs from the newest archive</h3>
        <${Changes} platform=${row.platform} from=${row.schema ?? undefined} to=${sum.schema} can=${can.changes} />`
      }
      ${
        row.state === 'drifted' &&
        html`
        <h3>What differs from its archive</h3>
        <${Drift} platform=${row.platform} database=${row.database} />`
      }
      <h3>Deploys</h3>
      <${Loading} resource=${deploys} />
      ${deploys.data && all.length === 0 && html`<p>None is recorded.</p>`}
      ${
        all.length > 0 &&
        html`
        <table class="plain">
          <thead><tr><th scope="col">Time</th><th scope="col">State</th><th scope="col">Archive</th><th scope="col">Took</th></tr></thead>
          <tbody>
            ${all.map(
              (/** @type {any} */ one) => html`
              <tr key=${one.id}>
                <td><a href=${linkTo('deploys', { platform: row.platform, request: one.request_id })}>${formatTime(one.deployed_at)}</a></td>
                <td><${Badge} state=${one.status} title=${one.error?.message} /></td>
                <td><code>${formatChecksum(one.archive_checksum)}</code></td>
                <td>${formatMs(one.execution_time_ms)}</td>
              </tr>`,
            )}
          </tbody>
        </table>`
      }
    <//>
  `
}

/** Why a database has its state, in words. @param {any} row @param {any} sum */
function reasonOf(row, sum) {
  switch (row.state) {
    case 'pending':
      return row.schema
        ? `It has the archive ${formatChecksum(row.schema)}; the newest is ${formatChecksum(sum.schema)}.`
        : 'Nothing was ever deployed to it.'
    case 'failed':
      return 'Its last deploy failed.'
    case 'drifted':
      return 'It was changed by something else than a deploy.'
    case 'missing':
      return 'The catalog has it, and the server does not.'
    case 'suspended':
      return row.tenant_state === 'dropping' ? 'It is to be dropped.' : 'Its calls are refused.'
    default:
      return ''
  }
}
