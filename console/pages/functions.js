import { useSignal } from '@preact/signals'
import { useMemo } from 'preact/hooks'
import { Act } from '../components/act.js'
import { Choice } from '../components/choice.js'
import {
  formatBytes,
  formatCount,
  formatMs,
  formatSeconds,
  formatShort,
} from '../components/format.js'
import { Loading } from '../components/notice.js'
import { numberColumn, Table, textColumn } from '../components/table.js'
import { html } from '../html.js'
import { usePolling } from '../polling.js'
import { useResource } from '../resource.js'
import { platform, route, setParams } from '../store.js'
import { Series } from './functions-series.js'
import { Slow } from './functions-slow.js'
import { TryOne } from './try-one.js'

const HOUR = 3_600_000
const EVERY = 15_000
const MOVES_EVERY = HOUR / 6
const MOST = 1000

/** Ranges of time, with the step of each. */
const RANGES =
  /** @type {Record<string, { text: string, ms: number, step: 'minute' | 'hour' }>} */ ({
    '1h': { text: 'last hour', ms: HOUR, step: 'minute' },
    '6h': { text: 'last 6 hours', ms: 6 * HOUR, step: 'minute' },
    '24h': { text: 'last 24 hours', ms: 24 * HOUR, step: 'hour' },
    '7d': { text: 'last 7 days', ms: 7 * 24 * HOUR, step: 'hour' },
    '30d': { text: 'last 30 days', ms: 30 * 24 * HOUR, step: 'hour' },
  })
const FIRST_RANGE = '1h'

/** The page Functions: calls, errors, durations over time; slow calls; a form to call one. */
export function Functions() {
  const { range = FIRST_RANGE, tenant = '', by = '' } = route.value.params
  const name = route.value.params.function ?? ''
  const chosen = platform.value
  const isTrying = useSignal(false)
  const { ms, step } = RANGES[range] ?? /** @type {any} */ (RANGES[FIRST_RANGE])
  // The start stands still for minutes, in which the same address is asked for again.
  const lastMove = Math.floor(Date.now() / MOVES_EVERY)
  const from = useMemo(() => new Date(Date.now() - ms).toISOString(), [ms, lastMove])
  const filter = { platform: chosen, tenant_id: chosen && tenant.trim(), function: name }
  const times = useResource('/admin/functions', { ...filter, by, from, step, limit: MOST })
  const slow = useResource('/admin/slow', filter)
  usePolling(times.reload, EVERY)
  usePolling(slow.reload, EVERY)
  const { data } = times
  return html`
    <h2>Functions</h2>
    <div class="bar" role="search">
      <${Choice}
        label="Time"
        value=${range}
        any=""
        choices=${Object.entries(RANGES).map(([key, { text }]) => [key, text])}
        onChoose=${(/** @type {string} */ value) => setParams({ range: value })}
      />
      <${Choice}
        label="A row for each"
        value=${by || 'function'}
        any=""
        choices=${[['function', 'function'], ['tenant', 'function and tenant']]}
        onChoose=${(/** @type {string} */ value) => setParams({ by: value === 'function' ? '' : value })}
      />
      ${
        chosen !== '' &&
        html`
          <label class="inline">
            <span>Tenant</span>
            <input
              autocomplete="off"
              spellcheck=${false}
              size="14"
              placeholder="all"
              value=${tenant}
              onChange=${(/** @type {any} */ event) => setParams({ tenant: event.currentTarget.value })}
            />
          </label>`
      }
      ${
        name !== '' &&
        html`
          <button type="button" class="quiet" onClick=${() => setParams({ function: '' })}>
            <code>${name}</code> alone ✕<span class="unseen"> show all functions</span>
          </button>`
      }
      <${Act}
        label="Try one…"
        can=${chosen !== '' || 'Choose a platform: a function is called in a database'}
        short
        onAct=${() => {
          isTrying.value = true
        }}
      />
    </div>
    <${Loading} resource=${times} />
    ${
      data &&
      html`
        <${Series} data=${data} />
        <${Times} rows=${data.functions} />`
    }
    <${Slow} resource=${slow} />
    ${
      isTrying.value &&
      chosen !== '' &&
      html`<${TryOne} platform=${chosen} tenant=${tenant.trim()} name=${name} onClose=${() => {
        isTrying.value = false
      }} />`
    }
  `
}

/** @typedef {import('../components/table.js').Column} Column */

/** @type {Column[]} */
const COLUMNS = [
  {
    key: 'function',
    label: 'Function',
    isHead: true,
    sort: (row) => row.function,
    cell: (row) => html`
      <button type="button" class="link" onClick=${() => setParams({ platform: row.platform, function: row.function })}>
        ${row.function}
      </button>`,
  },
  numberColumn('calls', 'Calls', formatCount),
  {
    ...numberColumn('errors', 'Errors', formatCount),
    cell: (row) =>
      html`<span class=${row.errors > 0 ? 'bad' : ''}>${formatCount(row.errors)}</span>`,
  },
  numberColumn('p50_ms', 'p50', formatMs, true),
  numberColumn('p95_ms', 'p95', formatMs),
  numberColumn('p99_ms', 'p99', formatMs, true),
  numberColumn('max_ms', 'Longest', formatMs, true),
  numberColumn('database_seconds', 'Database', formatSeconds),
  numberColumn('rows', 'Rows', formatShort, true),
  numberColumn('bytes', 'Bytes', formatBytes, true),
]

/** @type {Column} */
const PLATFORM = textColumn('platform', 'Platform')

/** @type {Column} */
const TENANT = {
  key: 'tenant',
  label: 'Tenant',
  sort: (row) => row.tenant_id ?? '',
  cell: (row) => row.tenant_id ?? row.database,
}

/** @param {{ rows: any[] }} props */
function Times({ rows }) {
  const { sort = '-database_seconds', by = '' } = route.value.params
  const isOfAll = platform.value === ''
  const columns = useMemo(() => {
    const [first, ...rest] = /** @type {[Column, ...Column[]]} */ (COLUMNS)
    return [first, ...(isOfAll ? [PLATFORM] : []), ...(by === 'tenant' ? [TENANT] : []), ...rest]
  }, [isOfAll, by])
  return html`
    <section class="short" aria-label="Functions">
      <${Table}
        label="Functions"
        columns=${columns}
        rows=${rows}
        keyOf=${(/** @type {any} */ row) => `${row.platform} ${row.database} ${row.function}`}
        sort=${sort}
        onSort=${(/** @type {string} */ sort) => setParams({ sort }, { replace: true })}
        empty="No call in this time"
      />
    </section>
  `
}
