import { useSignal } from '@preact/signals'
import { ACTIONS, OUTCOMES } from 'audit/choices'
import { useEffect } from 'preact/hooks'
import { get } from '../api.js'
import { Badge } from '../components/badge.js'
import { Choice } from '../components/choice.js'
import { formatAgo, formatMs, formatTime, plural } from '../components/format.js'
import { Loading, Notice } from '../components/notice.js'
import { Table } from '../components/table.js'
import { html } from '../html.js'
import { reloadOn } from '../reload-on.js'
import { useResource } from '../resource.js'
import { platform, route, setParams } from '../store.js'
import { AuditEntry, outcomeOf } from './audit-entry.js'

/** Entries of one request. */
const PAGE = 200

/** @type {import('../components/table.js').Column[]} */
const COLUMNS = [
  {
    key: 'at',
    label: 'Time',
    width: '8.5rem',
    cell: (row) => html`<span title=${formatTime(row.at)}>${formatAgo(row.at)}</span>`,
  },
  {
    key: 'action',
    label: 'Action',
    isHead: true,
    cell: (row) => html`
      <button type="button" class="link" onClick=${() => setParams({ entry: String(row.id) })}>
        ${row.action.replaceAll('_', ' ')}
      </button>${row.requests > 1 ? ` × ${row.requests}` : ''}`,
  },
  {
    key: 'outcome',
    label: 'Outcome',
    cell: (row) => html`
      <${Badge} state=${outcomeOf(row)} title=${row.error ?? undefined} />
      ${row.error && html` <span class="faint">${row.error}</span>`}`,
  },
  {
    key: 'platform',
    label: 'Platform',
    isWide: true,
    cell: (row) => row.platform ?? '–',
  },
  { key: 'tenant', label: 'Tenant', cell: (row) => row.tenant_id ?? whereOf(row) },
  { key: 'address', label: 'From', isWide: true, cell: (row) => row.address ?? 'the gateway' },
  {
    key: 'took',
    label: 'Took',
    isNumber: true,
    isWide: true,
    cell: (row) => formatMs(row.duration_ms),
  },
]

/** @param {any} row */
function whereOf({ databases }) {
  return databases.length === 1
    ? databases[0]
    : databases.length > 1
      ? `${databases.length} databases`
      : '–'
}

/** The page Audit: who changed what, and what was refused. */
export function Audit() {
  const { tenant = '', action = '', outcome = '', request = '', entry = '' } = route.value.params
  const filter = {
    platform: platform.value,
    tenant_id: tenant.trim(),
    action,
    outcome,
    request_id: request.trim(),
  }
  const key = JSON.stringify(filter)
  const newest = useResource('/admin/audit', { ...filter, limit: PAGE })
  const { rows, next, isLoading, error, more } = useOlder(newest.data, filter, key)
  useEffect(() => reloadOn('audit', newest.reload), [newest.reload])
  const shown = entry && rows.find((/** @type {any} */ row) => String(row.id) === entry)
  return html`
    <h2>Audit</h2>
    <${Filters} values=${{ tenant, action, outcome, request }} />
    <${Loading} resource=${newest} />
    ${
      newest.data &&
      html`
        <p class="faint" role="status">${plural(rows.length, 'entry', 'entries')}${next ? ', and older ones' : ''}</p>
        <${Table}
          label="Entries"
          columns=${COLUMNS}
          rows=${rows}
          keyOf=${(/** @type {any} */ row) => String(row.id)}
          isChosen=${(/** @type {any} */ row) => row === shown}
          empty="No entry fits the filters"
        />
        ${error && html`<${Notice} error=${error} />`}
        ${next && html`<p><button type="button" onClick=${more} disabled=${isLoading}>Older entries</button></p>`}
      `
    }
    ${shown && html`<${AuditEntry} entry=${shown} onClose=${() => setParams({ entry: '' }, { replace: true })} />`}
  `
}

/**
 * The newest entries with the older ones that were asked for.
 * @param {any} newest answer with the newest entries, or null
 * @param {Record<string, string>} filter
 * @param {string} key of the filter
 */
function useOlder(newest, filter, key) {
  const state = useSignal({
    key,
    rows: /** @type {any[]} */ ([]),
    next: /** @type {number | null} */ (null),
    isLoading: false,
    error: /** @type {any} */ (null),
  })
  const mine = state.value.key === key ? state.value : null
  const first = newest?.entries ?? []
  const lastId = first.at(-1)?.id ?? 0
  const older = (mine?.rows ?? []).filter((row) => row.id < lastId)
  const next = mine && mine.rows.length > 0 ? mine.next : (newest?.next_before ?? null)
  const more = async () => {
    const before = older
    state.value = { key, rows: before, next, isLoading: true, error: null }
    try {
      const answer = await get('/admin/audit', {
        ...filter,
        limit: PAGE,
        before: next ?? undefined,
      })
      const rows = [...before, ...answer.entries]
      if (state.value.key === key) {
        state.value = { key, rows, next: answer.next_before, isLoading: false, error: null }
      }
    } catch (error) {
      state.value = { key, rows: before, next, isLoading: false, error }
    }
  }
  const { isLoading = false, error = null } = mine ?? {}
  return { rows: [...first, ...older], next, isLoading, error, more }
}

/** @param {{ values: Record<string, string> }} props */
function Filters({ values }) {
  const set = (/** @type {string} */ name) => (/** @type {string} */ value) =>
    setParams({ [name]: value }, { replace: true })
  const text = (/** @type {string} */ name, /** @type {string} */ label) => html`
    <label class="inline">
      <span>${label}</span>
      <input
        autocomplete="off"
        spellcheck=${false}
        size="14"
        value=${values[name]}
        onChange=${(/** @type {any} */ event) => set(name)(event.currentTarget.value)}
      />
    </label>`
  return html`
    <div class="bar" role="search">
      <${Choice} label="Action" value=${values.action} choices=${ACTIONS} onChoose=${set('action')} />
      <${Choice} label="Outcome" value=${values.outcome} choices=${OUTCOMES} onChoose=${set('outcome')} />
      ${text('tenant', 'Tenant')}
      ${text('request', 'Request id')}
    </div>
  `
}
