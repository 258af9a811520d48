import { useSignal } from '@preact/signals'
import { post, queryOf, send } from '../api.js'
import { Act, firstReason } from '../components/act.js'
import { DeployDialog } from '../components/deploy-dialog.js'
import { ActDialog } from '../components/dialog.js'
import { html } from '../html.js'
import { ONE_SERVER } from '../moves.js'
import { nameOf, ownerOf } from '../owner.js'
import { saveBlob } from '../save-blob.js'
import { announce } from '../store.js'
import { CloneTenant, RenameTenant } from './tenant-copies.js'
import { DropTenant } from './tenant-drop.js'
import { MoveTenant, StopMove } from './tenant-move.js'
import { LabelTenant, SuspendTenant } from './tenant-state.js'

/** What is said of a database that is not a tenant's. */
const TENANTS_ALONE = 'This can be done with a tenant alone'

/**
 * What can be done with a database.
 * @param {object} props
 * @param {any} props.row
 * @param {any} props.sum
 * @param {any} props.can
 * @param {string[]} [props.servers] undefined without SERVERS
 * @param {any} [props.move] its move to another server, while it runs
 * @param {() => void} props.reload
 * @param {() => void} props.onGone
 */
export function TenantActs({ row, sum, can, servers, move, reload, onGone }) {
  const shown = useSignal('')
  const show = (/** @type {string} */ name) => () => {
    shown.value = name
  }
  const close = () => {
    shown.value = ''
    reload()
  }
  /** Closes the database too: it has another name, or none. */
  const gone = () => {
    close()
    onGone()
  }
  const isTenant = row.tenant_id !== null || TENANTS_ALONE
  const isThere = row.state !== 'missing' || 'The server does not have the database'
  const isSuspended = row.tenant_state !== 'active'
  const asTenant = (/** @type {string | true} */ ability = true) =>
    firstReason(isTenant, isThere, ability)
  const props = { row, can, onClose: close, onGone: gone }
  return html`
    <div class="bar" role="group" aria-label=${`What can be done with ${nameOf(row)}`}>
      <${Act} label="Deploy…" onAct=${show('deploy')} can=${isThere} short />
      ${
        isSuspended
          ? html`<${Act} label="Resume…" onAct=${show('resume')} can=${asTenant()} short />`
          : html`<${Act} label="Suspend…" onAct=${show('suspend')} can=${asTenant()} short />`
      }
      <${Act} label="Labels…" onAct=${show('labels')} can=${isTenant} short />
      <${Act} label="Clone…" onAct=${show('clone')} can=${asTenant(can.clone)} short />
      <${Act} label="Rename…" onAct=${show('rename')} can=${asTenant(can.rename)} short />
      ${
        move
          ? html`<${Act} label="Give the move up…" onAct=${show('stop-move')} />`
          : html`<${Act} label="Move…" onAct=${show('move')} can=${firstReason(isThere, servers ? true : ONE_SERVER)} short />`
      }
      <${Act} label="Export" onAct=${() => download(row)} can=${asTenant(can.export)} short />
      ${row.state === 'missing' && html`<${Act} label="Forget…" kind="danger" onAct=${show('forget')} />`}
      <${Act} label="Drop…" kind="danger" onAct=${show('drop')} can=${asTenant(can.drop)} short />
    </div>
    ${shown.value === 'deploy' && html`<${DeployDialog} title=${`Deploy to ${nameOf(row)}`} owner=${ownerOf(row)} checksum=${sum.schema ?? ''} about=${`To the database ${row.database} alone.`} onClose=${close} />`}
    ${shown.value === 'suspend' && html`<${SuspendTenant} ...${props} />`}
    ${shown.value === 'resume' && html`<${Resume} ...${props} />`}
    ${shown.value === 'labels' && html`<${LabelTenant} ...${props} />`}
    ${shown.value === 'clone' && html`<${CloneTenant} ...${props} />`}
    ${shown.value === 'rename' && html`<${RenameTenant} ...${props} />`}
    ${shown.value === 'move' && html`<${MoveTenant} row=${row} servers=${servers} onClose=${close} />`}
    ${shown.value === 'stop-move' && html`<${StopMove} row=${row} move=${move} onClose=${close} />`}
    ${shown.value === 'forget' && html`<${Forget} ...${props} />`}
    ${shown.value === 'drop' && html`<${DropTenant} ...${props} />`}
  `
}

/** @param {any} row */
async function download(row) {
  announce('The dump is being made')
  const response = await send(`/admin/export${queryOf(ownerOf(row))}`)
  saveBlob(await response.blob(), `${row.database}.dump`)
}

/** @param {{ row: any, onClose: () => void }} props */
function Resume({ row, onClose }) {
  const drop = row.tenant_state === 'dropping' ? ' Its drop is called off.' : ''
  return html`
    <${ActDialog}
      title=${`Resume ${nameOf(row)}`}
      act="Resume"
      onAct=${() => post('/admin/resume-tenant', ownerOf(row))}
      onClose=${onClose}
    >
      <p>The calls of this tenant run again, at once and on every gateway.${drop}</p>
    <//>
  `
}

/** @param {{ row: any, onClose: () => void, onGone: () => void }} props */
function Forget({ row, onClose, onGone }) {
  return html`
    <${ActDialog}
      title=${`Forget ${nameOf(row)}`}
      act="Forget"
      isDanger
      confirm=${row.database}
      onAct=${async () => {
        await post('/admin/forget-database', ownerOf(row))
        onGone()
      }}
      onClose=${onClose}
    >
      <p>The catalog has the database <code>${row.database}</code>, and the server does not: it was dropped by hand. Its entry is removed.</p>
    <//>
  `
}
