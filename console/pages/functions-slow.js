import { useSignal } from '@preact/signals'
import { Dialog } from '../components/dialog.js'
import { formatAgo, formatBytes, formatCount, formatMs, formatTime } from '../components/format.js'
import { Loading } from '../components/notice.js'
import { numberColumn, Table } from '../components/table.js'
import { html } from '../html.js'

/** @typedef {import('../components/table.js').Column} Column */

/** @param {(row: any) => void} onOpen @returns {Column[]} */
const columnsOf = (onOpen) => [
  {
    key: 'function',
    label: 'Function',
    isHead: true,
    sort: (row) => row.function,
    cell: (row) =>
      html`<button type="button" class="link" onClick=${() => onOpen(row)}>${row.function}</button>`,
  },
  {
    key: 'at',
    label: 'Time',
    isNumber: true,
    sort: (row) => Date.parse(row.at),
    cell: (row) => html`<span title=${formatTime(row.at)}>${formatAgo(row.at)}</span>`,
  },
  { key: 'database', label: 'Database', sort: (row) => row.database, cell: (row) => row.database },
  numberColumn('ms', 'Took', formatMs),
  numberColumn('wait_ms', 'Waited', formatMs, true),
  numberColumn('query_ms', 'In the database', formatMs, true),
  numberColumn('rows', 'Rows', formatCount, true),
  {
    key: 'error',
    label: 'Error',
    isWide: true,
    sort: (row) => row.error ?? '',
    cell: (row) =>
      row.error ? html`<span class="bad">${row.error} ${row.sqlstate ?? ''}</span>` : '',
  },
]

/** The slow calls. @param {{ resource: import('../resource.js').Resource }} props of /admin/slow */
export function Slow({ resource }) {
  const sort = useSignal('-at')
  const open = useSignal(/** @type {any} */ (null))
  const { data } = resource
  const columns = columnsOf((row) => {
    open.value = row
  })
  const limit = data?.slow_call_ms
  return html`
    <section class="short" aria-label="Slow calls">
      <h3>Slow calls</h3>
      <${Loading} resource=${resource} />
      ${
        data &&
        html`
          <p class="faint">${
            limit > 0
              ? `Calls that took ${formatMs(limit)} or longer (SLOW_CALL_MS).`
              : 'No call is slow, since SLOW_CALL_MS is 0.'
          }</p>
          <${Table}
            label="Slow calls"
            columns=${columns}
            rows=${data.slow}
            keyOf=${(/** @type {any} */ row) => `${row.at} ${row.request_id} ${row.function}`}
            sort=${sort.value}
            onSort=${(/** @type {string} */ value) => {
              sort.value = value
            }}
            empty="None"
          />`
      }
      ${
        open.value &&
        html`<${SlowCall} call=${open.value} onClose=${() => {
          open.value = null
        }} />`
      }
    </section>
  `
}

/** One slow call, with its plan. @param {{ call: any, onClose: () => void }} props */
function SlowCall({ call, onClose }) {
  const facts = /** @type {[string, any][]} */ ([
    ['Time', formatTime(call.at)],
    ['Database', call.database],
    ['Took', formatMs(call.ms)],
    ['Waited for a connection', formatMs(call.wait_ms)],
    ['Opened the connection', formatMs(call.connect_ms)],
    ['In the database', formatMs(call.query_ms)],
    ['Rows', formatCount(call.rows)],
    ['Answer', formatBytes(call.bytes)],
    ['Error', call.error && `${call.error} ${call.sqlstate ?? ''}`],
    ['Request id', html`<code>${call.request_id}</code>`],
  ]).filter(([, value]) => value)
  return html`
    <${Dialog} title=${`A slow call of ${call.function}`} side onClose=${onClose}>
      <dl>${facts.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
      <h3>Plan</h3>
      ${
        call.plan
          ? html`<pre tabindex="0" role="region" aria-label="Plan">${call.plan}</pre>`
          : html`<p class="faint">None is known: PostgreSQL tells plans where its module auto_explain is loaded.</p>`
      }
    <//>
  `
}
