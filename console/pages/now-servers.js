import { Badge } from '../components/badge.js'
import {
  formatAgo,
  formatBytes,
  formatCount,
  formatMs,
  formatSeconds,
  formatTime,
} from '../components/format.js'
import { html } from '../html.js'

/** The gateways that live. @param {{ gateways: any[] }} props */
export function Gateways({ gateways }) {
  return html`
    <h3>Gateways</h3>
    <div class="scroll" tabindex="0" role="region" aria-label="Gateways">
      <table class="plain">
        <thead>
          <tr><th scope="col">Host</th><th scope="col">Process</th><th scope="col">Since</th><th scope="col">Last sign of life</th><th scope="col">Connections at most</th></tr>
        </thead>
        <tbody>
          ${gateways.map(
            (one) => html`
              <tr key=${one.id}>
                <th scope="row">${one.host}${one.self ? ' (this one)' : ''}</th>
                <td>${one.pid}</td>
                <td>${formatTime(one.started_at)}</td>
                <td>${formatAgo(one.last_heartbeat_at)}</td>
                <td>${formatCount(one.share)}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  `
}

/** The replicas that calls may be read from. @param {{ replicas: any[] }} props */
export function Replicas({ replicas }) {
  if (replicas.length === 0) {
    return html`<h3>Replicas</h3><p class="faint">The gateway reads from no replica (DATABASE_READ_URLS).</p>`
  }
  return html`
    <h3>Replicas</h3>
    <table class="plain">
      <thead><tr><th scope="col">Server</th><th scope="col">State</th><th scope="col">Lag</th></tr></thead>
      <tbody>
        ${replicas.map(
          ({ server, usable, lag_ms }) => html`
            <tr key=${server}>
              <th scope="row">${server}</th>
              <td><${Badge} state=${usable ? 'active' : 'failed'} title=${usable ? 'Calls are read from it' : 'No call is read from it: it is too far behind, or does not answer'} /></td>
              <td>${formatMs(lag_ms)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  `
}

/** This gateway's connections to each PostgreSQL server, where there are several. @param {{ servers: any[] }} props */
export function Servers({ servers }) {
  if (servers.length === 0) return null
  return html`
    <h3>Connections by server</h3>
    <table class="plain">
      <thead><tr><th scope="col">Server</th><th scope="col">State</th><th scope="col">Connections of this gateway</th><th scope="col">At most</th></tr></thead>
      <tbody>
        ${servers.map(
          ({ name, why, permits }) => html`
            <tr key=${name}>
              <th scope="row">${name}</th>
              <td><${Badge} state=${why === null ? 'active' : 'failed'} title=${why ?? 'It answers'} /></td>
              <td>${permits ? formatCount(permits.held) : '–'}</td>
              <td>${permits ? formatCount(permits.capacity) : '–'}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  `
}

/**
 * PostgreSQL's vital signs. What cannot be read says why.
 * @param {{ vitals: any, server?: string }} props server: its name, of several
 */
export function Vitals({ vitals, server }) {
  const title = server === undefined ? 'PostgreSQL' : `PostgreSQL ${server}`
  const { why = {}, checkpoints } = vitals
  const of = vitals.connections !== null && vitals.max_connections !== null
  const facts = /** @type {[string, string, any][]} */ ([
    ['version', 'Version', vitals.version],
    ['uptime_s', 'Up for', formatSeconds(vitals.uptime_s)],
    [
      'connections',
      'Sessions',
      of &&
        html`
        ${formatCount(vitals.connections)} of ${formatCount(vitals.max_connections)}
        <meter min="0" max=${vitals.max_connections} high=${vitals.max_connections * 0.9} value=${vitals.connections} aria-label="Sessions of all that there may be"></meter>`,
    ],
    ['waiting_for_locks', 'Wait for a lock', formatCount(vitals.waiting_for_locks)],
    ['oldest_transaction_s', 'Oldest transaction', formatSeconds(vitals.oldest_transaction_s)],
    ['cache_hit_ratio', 'Blocks found in memory', percent(vitals.cache_hit_ratio)],
    [
      'transactions',
      'Transactions',
      `${formatCount(vitals.transactions)}, ${formatCount(vitals.rollbacks)} rolled back`,
    ],
    ['deadlocks', 'Deadlocks', formatCount(vitals.deadlocks)],
    ['temp_bytes', 'Temporary files', formatBytes(vitals.temp_bytes)],
    ['wal_bytes', 'WAL written', formatBytes(vitals.wal_bytes)],
    [
      'checkpoints',
      'Checkpoints',
      checkpoints &&
        `${formatCount(checkpoints.timed)} in time, ${formatCount(checkpoints.requested)} early`,
    ],
    [
      'transaction_id_age',
      'Oldest transaction id',
      vitals.transaction_id_age !== null &&
        `${formatCount(vitals.transaction_id_age)} transactions old`,
    ],
    ['autovacuum_workers', 'Autovacuum workers', formatCount(vitals.autovacuum_workers)],
    ['replication_slots', 'Replication slots', listOf(vitals.replication_slots, slotText)],
    ['standbys', 'Standbys', listOf(vitals.standbys, standbyText)],
  ])
  return html`
    <section aria-label=${title}>
      <h3>${title}</h3>
      ${vitals.stats_since && html`<p class="faint">Sums since ${formatTime(vitals.stats_since)}.</p>`}
      <dl>
        ${facts.map(([name, label, value]) => html`<dt>${label}</dt><dd>${why[name] ? html`<span class="faint">not known: ${why[name]}</span>` : value || '–'}</dd>`)}
      </dl>
    </section>
  `
}

/** @param {number | null} ratio */
function percent(ratio) {
  return ratio === null ? '–' : `${formatCount(Math.round(ratio * 1000) / 10)} %`
}

/** @param {any[] | null} all @param {(one: any) => string} textOf */
function listOf(all, textOf) {
  if (all === null) return '–'
  return all.length === 0
    ? 'none'
    : html`<ul>${all.map((one) => html`<li>${textOf(one)}</li>`)}</ul>`
}

/** @param {any} slot */
function slotText({ name, active, retained_bytes }) {
  return `${name}: ${active ? 'in use' : 'not in use'}, keeps ${formatBytes(retained_bytes)} of WAL`
}

/** @param {any} standby */
function standbyText({ application, state, lag_s }) {
  return `${application ?? 'without a name'}: ${state}, ${formatSeconds(lag_s)} behind`
}
