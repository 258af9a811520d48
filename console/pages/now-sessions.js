import { useSignal } from '@preact/signals'
import { useMemo } from 'preact/hooks'
import { formatCount, formatMs, formatSeconds } from '../components/format.js'
import { numberColumn, Table, textColumn } from '../components/table.js'
import { html } from '../html.js'

/** @typedef {import('../components/table.js').Column} Column */

/** States in the order of the columns; what is not one of them is `other`. */
const STATES = ['active', 'idle', 'idle in transaction', 'other']

/** @type {(key: string, label: string, isWide?: boolean) => Column} */
const count = (key, label, isWide) => numberColumn(key, label, formatCount, isWide)

/** @type {Column[]} */
const DATABASES = [
  {
    key: 'database',
    label: 'Database',
    isHead: true,
    sort: (row) => row.database,
    cell: (row) => row.database,
  },
  count('sessions', 'Sessions'),
  count('active', 'Active'),
  count('idle', 'Idle', true),
  count('idle in transaction', 'Idle in transaction', true),
  count('other', 'Other', true),
  count('locked', 'Wait for a lock', true),
  count('open', 'Pool: open', true),
  count('busy', 'Pool: busy', true),
  {
    ...count('waiting', 'Pool: waiting'),
    cell: (row) =>
      row.waiting > 0
        ? html`<span class="warn">${row.waiting}, the first for ${formatMs(row.oldest_wait_ms)}</span>`
        : formatCount(row.waiting),
  },
]

/** The column of the PostgreSQL servers, where there are several. @type {Column} */
const SERVER = textColumn('server', 'Server')

/** @param {Column[]} columns @param {boolean} hasServers */
function withServer([first, ...columns], hasServers) {
  return /** @type {Column[]} */ ([first, ...(hasServers ? [SERVER] : []), ...columns])
}

/** Servers may have databases of one name, and processes of one number. @param {any} row @param {any} name */
function placeOf(row, name) {
  return row.server === undefined ? String(name) : `${row.server}/${name}`
}

/**
 * Connections by database and state, with this gateway's pool of each.
 * @param {{ sessions: any[], pools: any[], hasServers: boolean }} props
 */
export function Databases({ sessions, pools, hasServers }) {
  const sort = useSignal('-sessions')
  const rows = useMemo(() => byDatabase(sessions, pools), [sessions, pools])
  return html`
    <section class="short" aria-label="Connections by database">
      <h3>Connections by database</h3>
      <p class="faint">Sessions are those of PostgreSQL, of anybody; the pool is this gateway's.</p>
      <${Table}
        label="Connections by database"
        columns=${withServer(DATABASES, hasServers)}
        rows=${rows}
        keyOf=${(/** @type {any} */ row) => placeOf(row, row.database)}
        sort=${sort.value}
        onSort=${(/** @type {string} */ value) => {
          sort.value = value
        }}
        empty="No database has a connection"
      />
    </section>
  `
}

/** @param {any[]} sessions @param {any[]} pools */
function byDatabase(sessions, pools) {
  /** @type {Map<string, any>} */
  const rows = new Map()
  const rowOf = (/** @type {any} */ { database, server }) => {
    const place = placeOf({ server }, database)
    const row = rows.get(place) ?? {
      database,
      server,
      sessions: 0,
      locked: 0,
      ...Object.fromEntries(STATES.map((state) => [state, 0])),
    }
    rows.set(place, row)
    return row
  }
  for (const session of sessions) {
    const { state, wait_event_type } = session
    const row = rowOf(session)
    row.sessions++
    row[STATES.includes(state) ? state : 'other']++
    if (wait_event_type === 'Lock') row.locked++
  }
  for (const pool of pools) {
    const { open, busy, waiting, oldest_wait_ms } = pool
    if (open + waiting > 0) Object.assign(rowOf(pool), { open, busy, waiting, oldest_wait_ms })
  }
  return [...rows.values()]
}

/** @type {Column[]} */
const SESSIONS = [
  { key: 'pid', label: 'Process', isHead: true, sort: (row) => row.pid, cell: (row) => row.pid },
  { key: 'database', label: 'Database', sort: (row) => row.database, cell: (row) => row.database },
  { key: 'user', label: 'Role', isWide: true, sort: (row) => row.user, cell: (row) => row.user },
  {
    key: 'state',
    label: 'State',
    sort: (row) => row.state,
    cell: (row) =>
      html`<span class=${row.state === 'idle in transaction' ? 'warn' : ''}>${row.state ?? 'not seen'}</span>`,
  },
  {
    key: 'since',
    label: 'For',
    isNumber: true,
    sort: (row) => row.since_s,
    cell: (row) => formatSeconds(row.since_s),
  },
  {
    key: 'transaction',
    label: 'Transaction',
    isNumber: true,
    isWide: true,
    sort: (row) => row.transaction_s,
    cell: (row) => formatSeconds(row.transaction_s),
  },
  {
    key: 'wait',
    label: 'Waits for',
    isWide: true,
    sort: (row) => row.wait_event,
    cell: (row) => (row.wait_event ? `${row.wait_event_type}: ${row.wait_event}` : ''),
  },
  {
    key: 'query',
    label: 'Statement',
    isWide: true,
    cell: (row) =>
      row.query === null
        ? html`<span class="faint">${row.application ?? 'not of a gateway'}</span>`
        : html`<code title=${row.query}>${row.query}</code>`,
  },
]

/** The sessions that do something, or all. @param {{ sessions: any[], hasServers: boolean }} props */
export function Sessions({ sessions, hasServers }) {
  const sort = useSignal('-since')
  const hasIdle = useSignal(false)
  const rows = hasIdle.value ? sessions : sessions.filter(({ state }) => state !== 'idle')
  return html`
    <section class="short" aria-label="Sessions">
      <h3>Sessions</h3>
      <label class="check">
        <input
          type="checkbox"
          checked=${hasIdle.value}
          onChange=${(/** @type {any} */ event) => {
            hasIdle.value = event.currentTarget.checked
          }}
        />
        With the ${formatCount(sessions.filter(({ state }) => state === 'idle').length)} that are idle
      </label>
      <${Table}
        label="Sessions"
        columns=${withServer(SESSIONS, hasServers)}
        rows=${rows}
        keyOf=${(/** @type {any} */ row) => placeOf(row, row.pid)}
        sort=${sort.value}
        onSort=${(/** @type {string} */ value) => {
          sort.value = value
        }}
        empty="No session does anything"
      />
    </section>
  `
}
