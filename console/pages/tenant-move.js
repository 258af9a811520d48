import { useSignal } from '@preact/signals'
import { Act } from '../components/act.js'
import { Choice } from '../components/choice.js'
import { ActDialog, Dialog } from '../components/dialog.js'
import { Check } from '../components/field.js'
import { formatBytes, formatMs } from '../components/format.js'
import { Notice } from '../components/notice.js'
import { html } from '../html.js'
import { runMove, stopMove } from '../moves.js'
import { nameOf } from '../owner.js'
import { announce } from '../store.js'

/** @type {[string, string][]} */
const HOWS = [
  ['auto', 'the one that calls wait for least'],
  ['dump', 'a dump: calls wait'],
  ['replicate', 'replication: calls go on, and wait at the end'],
]

/**
 * Moves a database to another server: where to and how, its steps, what came of it.
 * @param {{ row: any, servers: string[], onClose: () => void }} props
 */
export function MoveTenant({ row, servers, onClose }) {
  const to = useSignal('')
  const how = useSignal('auto')
  const hold = useSignal(false)
  const state = useSignal(/** @type {{ line?: any, moved?: any, error?: any }} */ ({}))
  const { line, moved, error } = state.value
  const move = async () => {
    state.value = { line: {} }
    const asked = { to: to.value, how: how.value, hold: hold.value }
    try {
      const moved = await runMove(row, asked, (line) => {
        state.value = { line }
      })
      state.value = { moved }
      announce('The database is moved')
    } catch (error) {
      state.value = { error }
    }
  }
  const others = servers.filter((name) => name !== row.server)
  return html`
    <${Dialog} title=${`Move ${nameOf(row)}`} onClose=${onClose} canClose=${!line}>
      ${
        !line &&
        !moved &&
        html`
          <p>
            The database <code>${row.database}</code> (${formatBytes(row.size_bytes)}) is copied from
            <code>${row.server}</code> to another PostgreSQL server, and its calls go there. What is on
            <code>${row.server}</code> stays, out of reach of calls, until it is dropped.
          </p>
          <p>
            <${Choice} label="To" value=${to.value} choices=${others.map((name) => [name, name])} any="choose a server" onChoose=${(
              /** @type {string} */ name,
            ) => {
              to.value = name
            }} />
          </p>
          <p>
            <${Choice} label="By" value=${how.value} choices=${HOWS} any="" onChoose=${(
              /** @type {string} */ name,
            ) => {
              how.value = name
            }} />
          </p>
          <${Check} label="Answer calls with 503 meanwhile, however long it takes" value=${hold} />
          ${error && html`<${Notice} error=${error} />`}
          <p class="acts">
            <button type="button" onClick=${onClose}>Cancel</button>
            <${Act} label="Move" kind="danger" onAct=${move} can=${to.value !== '' || 'Choose a server'} />
          </p>
        `
      }
      ${line && html`<${Running} row=${row} line=${line} />`}
      ${
        moved &&
        html`
          <p class="done" role="status">
            Moved to ${moved.to} in ${formatMs(moved.execution_time_ms)}: ${formatBytes(moved.copied_bytes)};
            calls waited for ${formatMs(moved.held_ms)} at most.
          </p>
          ${(moved.warnings ?? []).map((/** @type {string} */ text) => html`<p class="warn">${text}</p>`)}
          <p>
            The former database is <code>${moved.kept}</code> on ${moved.from}. Drop it with
            /admin/drop-tenant and <code>"server": "${moved.from}"</code>.
          </p>
          <p class="acts"><button type="button" class="main" onClick=${onClose}>Close</button></p>
        `
      }
    <//>
  `
}

/** @param {{ row: any, line: any }} props */
function Running({ row, line }) {
  const { step = 'preparing', tables, tables_copied, copied_bytes, lag_bytes } = line
  return html`
    <p role="status">Moving: ${step}</p>
    <progress aria-label="Moving" max=${tables || undefined} value=${tables ? tables_copied : undefined}></progress>
    ${
      tables !== undefined &&
      html`<p class="faint">${tables_copied} of ${tables} tables, ${formatBytes(copied_bytes)}; ${formatBytes(lag_bytes)} behind</p>`
    }
    <p class="acts"><${Act} label="Give the move up" onAct=${() => stopMove(row)} /></p>
  `
}

/** @param {{ row: any, move: any, onClose: () => void }} props move: entry of `moving` */
export function StopMove({ row, move, onClose }) {
  return html`
    <${ActDialog} title=${`Give up the move of ${nameOf(row)}`} act="Give it up" isDanger onAct=${() => stopMove(row)} onClose=${onClose}>
      <p>
        The database is being moved from <code>${move.from}</code> to <code>${move.to}</code>
        (${move.phase}). It stays where it is, and its copy is dropped. This is refused once it is moved.
      </p>
    <//>
  `
}
