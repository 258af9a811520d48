import { useSignal } from '@preact/signals'
import { post } from '../api.js'
import { Act } from '../components/act.js'
import { ActDialog } from '../components/dialog.js'
import { formatMs, plural } from '../components/format.js'
import { numberColumn, Table } from '../components/table.js'
import { html } from '../html.js'
import { announce, linkTo } from '../store.js'

/**
 * The calls in flight of all gateways, the longest first, each with its end.
 * @param {{ calls: any[], gateways: any[], reload: () => void }} props
 */
export function CallsInFlight({ calls, gateways, reload }) {
  const sort = useSignal('-ms')
  const asked = useSignal(/** @type {any} */ (null))
  const told = useSignal('')
  const hosts = new Map(gateways.map(({ id, host, pid }) => [id, `${host}, process ${pid}`]))
  const columns = columnsOf(hosts, (row) => {
    told.value = ''
    asked.value = row
  })
  return html`
    <section class="short" aria-label="Calls in flight">
      <h3>Calls in flight</h3>
      ${told.value && html`<p class="done" role="status">${told.value}</p>`}
      <${Table}
        label="Calls in flight"
        columns=${columns}
        rows=${calls}
        keyOf=${(/** @type {any} */ row) => row.id}
        sort=${sort.value}
        onSort=${(/** @type {string} */ value) => {
          sort.value = value
        }}
        empty="No call runs"
      />
      ${
        asked.value &&
        html`<${CancelCall}
          key=${asked.value.id}
          call=${asked.value}
          onDone=${(/** @type {string} */ text) => {
            told.value = text
            announce(text)
          }}
          onClose=${() => {
            asked.value = null
            reload()
          }}
        />`
      }
    </section>
  `
}

/**
 * @param {Map<string, string>} hosts of gateways by id
 * @param {(row: any) => void} onCancel
 * @returns {import('../components/table.js').Column[]}
 */
function columnsOf(hosts, onCancel) {
  return [
    {
      key: 'function',
      label: 'Function',
      isHead: true,
      sort: (row) => row.function ?? row.kind,
      cell: (row) =>
        row.function === null
          ? `a ${row.kind}`
          : html`<a href=${linkTo('functions', { platform: row.platform, function: row.function })}>${row.function}</a>`,
    },
    {
      key: 'database',
      label: 'Database',
      sort: (row) => row.database,
      cell: (row) => row.database ?? row.platform,
    },
    numberColumn('ms', 'For', formatMs),
    {
      key: 'phase',
      label: 'It',
      isWide: true,
      sort: (row) => row.phase,
      cell: (row) =>
        row.phase === 'running' ? 'runs' : html`<span class="warn">waits for a connection</span>`,
    },
    ...(hosts.size > 1 ? [gatewayColumn(hosts)] : []),
    {
      key: 'request',
      label: 'Request id',
      isWide: true,
      cell: (row) => html`<code>${row.request_id}</code>`,
    },
    {
      key: 'cancel',
      label: 'Cancel',
      cell: (row) => html`
        <${Act} label="Cancel…" kind="danger" can=${row.can_cancel} short onAct=${() => onCancel(row)} />`,
    },
  ]
}

/** @param {Map<string, string>} hosts @returns {import('../components/table.js').Column} */
function gatewayColumn(hosts) {
  return {
    key: 'gateway',
    label: 'Gateway',
    isWide: true,
    sort: (row) => hosts.get(row.gateway),
    cell: (row) => hosts.get(row.gateway) ?? row.gateway,
  }
}

/** @param {{ call: any, onDone: (text: string) => void, onClose: () => void }} props */
function CancelCall({ call, onDone, onClose }) {
  const name = call.function ?? `the ${call.kind}`
  const cancel = async () => {
    const { cancelled } = await post('/admin/cancel-call', { id: call.id })
    onDone(cancelled ? `${name} was cancelled` : `${name} has ended by itself, or ends in a moment`)
  }
  return html`
    <${ActDialog} title=${`Cancel ${name}?`} act="Cancel the call" isDanger onAct=${cancel} onClose=${onClose}>
      <p>
        It has run for ${formatMs(call.ms)} in <code>${call.database ?? call.platform}</code>.
        PostgreSQL ends it: what it wrote is rolled back, and its caller gets the error
        <code>call_cancelled</code>.
      </p>
      <p class="faint">Request <code>${call.request_id}</code>, ${plural(Math.round(call.ms / 1000), 'second')} old. The audit says that it was cancelled.</p>
    <//>
  `
}
