import { Badge } from '../components/badge.js'
import { Dialog } from '../components/dialog.js'
import { formatMs, formatTime, namesText } from '../components/format.js'
import { html } from '../html.js'
import { linkTo } from '../store.js'

/** Databases that are written out. */
const MOST_NAMES = 50

/** Actions that /admin/deployments has too. */
const DEPLOYS = new Set(['register', 'migrate', 'revert'])

/** How an entry ended, in a word. @param {any} entry */
export function outcomeOf({ status }) {
  return status === null ? 'running' : status < 400 ? 'done' : 'failed'
}

/**
 * All that the audit says of one request.
 * @param {{ entry: any, onClose: () => void }} props
 */
export function AuditEntry({ entry, onClose }) {
  const { action, platform, databases, summary, requests, last_at } = entry
  const facts = /** @type {[string, any][]} */ ([
    [
      'Outcome',
      html`<${Badge} state=${outcomeOf(entry)} /> ${entry.status ?? ''} ${entry.error ?? ''}`,
    ],
    ['Time', formatTime(entry.at)],
    ['Took', formatMs(entry.duration_ms)],
    ['Platform', platform],
    ['Tenant', entry.tenant_id],
    ['Schema', entry.schema_name],
    ['Databases', databases.length > 0 && namesText(databases, MOST_NAMES)],
    ['Request', entry.path && html`<code>${entry.method} ${entry.path}</code>`],
    ['Request id', html`<code>${entry.request_id}</code>`],
    ['From', entry.address ?? 'the gateway itself'],
    ['Socket', entry.peer !== entry.address && entry.peer],
    ['X-Forwarded-For', entry.forwarded_for],
    ['Forwarded', entry.forwarded],
    ['Requests', requests > 1 && `${requests}, the last at ${formatTime(last_at)}`],
  ]).filter(([, value]) => value)
  return html`
    <${Dialog} title=${`${action.replaceAll('_', ' ')}${platform ? ` of ${platform}` : ''}`} side onClose=${onClose}>
      <dl>${facts.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
      ${
        DEPLOYS.has(action) &&
        platform &&
        html`<p><a href=${linkTo('deploys', { platform, request: entry.request_id })}>What it deployed</a></p>`
      }
      ${
        summary &&
        Object.keys(summary).length > 0 &&
        html`<h3>Summary</h3><pre tabindex="0" role="region" aria-label="Summary">${JSON.stringify(summary, null, 2)}</pre>`
      }
    <//>
  `
}
