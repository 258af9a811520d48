import { useSignal } from '@preact/signals'
import { Act } from '../components/act.js'
import { Badge } from '../components/badge.js'
import { DeployDialog } from '../components/deploy-dialog.js'
import { Dialog } from '../components/dialog.js'
import { formatChecksum, formatCount, formatMs, formatTime, plural } from '../components/format.js'
import { Notice } from '../components/notice.js'
import { changeText } from '../components/plan.js'
import { Table } from '../components/table.js'
import { html } from '../html.js'
import { ownerOf } from '../owner.js'
import { Changes } from './changes.js'
import { StepTimes } from './step-times.js'

/** Errors that are written out. */
const MOST_ERRORS = 20

/**
 * The deploys of one request: what they changed, what failed where, how long they took.
 * @param {object} props
 * @param {import('./deploy-groups.js').DeployGroup} props.deploy
 * @param {string} props.platform
 * @param {any[]} props.archives newest first
 * @param {any} props.can
 * @param {() => void} props.onClose
 * @param {() => void} props.onDone
 */
export function DeployDetail({ deploy, platform, archives, can, onClose, onDone }) {
  const act = useSignal('')
  const { rows, failed, archive, migrations } = deploy
  const at = archives.findIndex(({ checksum }) => checksum === archive)
  const before = at < 0 ? undefined : archives[at + 1]
  const owner = rows.length === 1 ? ownerOf({ ...rows[0], platform }) : { platform }
  const close = () => {
    act.value = ''
    onDone()
  }
  const slowest = rows.reduce((one, other) =>
    (other.execution_time_ms ?? 0) > (one.execution_time_ms ?? 0) ? other : one,
  )
  return html`
    <${Dialog} title=${`Deploy of ${formatTime(deploy.at)}`} side onClose=${onClose}>
      <dl>
        <dt>State</dt><dd><${Badge} state=${failed.length > 0 ? 'failed' : 'completed'} /></dd>
        <dt>Databases</dt><dd>${plural(rows.length, 'database')}${failed.length > 0 ? `, ${plural(failed.length, 'failure')}` : ''}</dd>
        <dt>Archive</dt><dd><code>${archive}</code></dd>
        <dt>Request</dt><dd><code>${deploy.request}</code></dd>
        <dt>Asked from</dt><dd>${rows[0].address ?? '–'}</dd>
      </dl>
      <div class="bar">
        <${Act}
          label="Revert to the archive before…"
          onAct=${() => {
            act.value = 'revert'
          }}
          can=${revertReason(before, can)}
        />
        <${Act}
          label="Retry failed…"
          onAct=${() => {
            act.value = 'retry'
          }}
          can=${failed.length > 0 || 'It failed nowhere'}
        />
      </div>
      ${failed.slice(0, MOST_ERRORS).map((row) => html`<${Notice} key=${row.database} error=${{ database: row.database, ...row.error }} />`)}
      ${failed.length > MOST_ERRORS && html`<p class="faint">and ${failed.length - MOST_ERRORS} more, in the list below</p>`}
      <${Changed} rows=${rows} migrations=${migrations} />
      ${
        slowest.steps_ms &&
        html`
        <h3>How long each step took${rows.length > 1 ? `, in the slowest database (${slowest.database})` : ''}</h3>
        <${StepTimes} steps=${slowest.steps_ms} total=${slowest.execution_time_ms} />`
      }
      <h3>Changes of files</h3>
      <${Changes} platform=${platform} from=${before?.checksum} to=${archive} can=${can.changes} />
      <h3>Databases</h3>
      <div class="short">
        <${Table} label="Databases of the deploy" columns=${COLUMNS} rows=${rows} keyOf=${(/** @type {any} */ row) => row.id ?? row.database} />
      </div>
    <//>
    ${act.value === 'revert' && html`<${DeployDialog} title=${`Revert to ${formatChecksum(before.checksum)}`} kind="revert" owner=${owner} checksum=${before.checksum} about=${rows.length === 1 ? `The database ${rows[0].database}.` : `All databases of ${platform}.`} onClose=${close} />`}
    ${act.value === 'retry' && html`<${DeployDialog} title="Retry what failed" owner=${owner} checksum=${archive} fields=${rows.length === 1 ? undefined : { only: 'failed' }} about=${rows.length === 1 ? `To the database ${rows[0].database}.` : `To the databases of ${platform} where the last deploy failed, of whatever archive; this one failed in ${formatCount(failed.length)}.`} onClose=${close} />`}
  `
}

/** @param {any} before @param {any} can @returns {string | true} */
function revertReason(before, can) {
  if (!before) return 'No archive before this one is known'
  if (before.size_bytes === null) return 'The archive before is not kept (KEPT_ARCHIVES)'
  return can.revert ?? true
}

/** What the deploys did in the databases. @param {{ rows: any[], migrations: string[] }} props */
function Changed({ rows, migrations }) {
  const tables = unique(rows.flatMap((row) => (row.table_changes ?? []).map(changeText)))
  const dropped = unique(rows.flatMap((row) => row.functions_dropped ?? []))
  const functions = Math.max(0, ...rows.map((row) => row.functions_changed ?? 0))
  const warnings = unique(rows.flatMap((row) => row.warnings ?? []))
  const items = /** @type {[string, string[]][]} */ ([
    ['Migrations', migrations],
    ['Tables', tables],
    ['Functions', functions > 0 ? [`${functions} made or changed`] : []],
    ['Functions dropped', dropped],
    ['Seeders', unique(rows.flatMap((row) => row.seeders_applied ?? []))],
    ['Warnings', warnings],
  ]).filter(([, texts]) => texts.length > 0)
  if (items.length === 0) return html`<p>It changed nothing in the databases.</p>`
  return html`
    <h3>What it changed</h3>
    <dl>${items.map(([name, texts]) => html`<dt>${name}</dt><dd>${texts.join(', ')}</dd>`)}</dl>
  `
}

/** @param {string[]} texts */
function unique(texts) {
  return [...new Set(texts)]
}

/** @type {import('../components/table.js').Column[]} */
const COLUMNS = [
  { key: 'database', label: 'Database', isHead: true, cell: (row) => row.database },
  {
    key: 'status',
    label: 'State',
    cell: (row) =>
      html`<${Badge} state=${row.status} /> <span class="faint">${row.error?.message ?? ''}</span>`,
  },
  { key: 'took', label: 'Took', isNumber: true, cell: (row) => formatMs(row.execution_time_ms) },
]
