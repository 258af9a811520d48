import { useSignal } from '@preact/signals'
import { post } from '../api.js'
import { ActDialog } from '../components/dialog.js'
import { Field } from '../components/field.js'
import { formatBytes } from '../components/format.js'
import { html } from '../html.js'
import { nameOf, ownerOf } from '../owner.js'

/** @param {{ row: any, onClose: () => void }} props */
export function CloneTenant({ row, onClose }) {
  const to = useSignal('')
  return html`
    <${ActDialog}
      title=${`Clone ${nameOf(row)}`}
      act="Clone"
      isReady=${to.value.trim() !== ''}
      onAct=${() => post('/admin/clone-tenant', { ...ownerOf(row), to: to.value.trim() })}
      onClose=${onClose}
    >
      <p>
        A new tenant gets a copy of the database with all its rows (${formatBytes(row.size_bytes)})
        and its labels. Calls of ${nameOf(row)} wait meanwhile.
      </p>
      <${Field} label="Tenant id of the copy" value=${to} required />
    <//>
  `
}

/** @param {{ row: any, onClose: () => void, onGone: () => void }} props */
export function RenameTenant({ row, onClose, onGone }) {
  const to = useSignal('')
  return html`
    <${ActDialog}
      title=${`Rename ${nameOf(row)}`}
      act="Rename"
      isDanger
      isReady=${to.value.trim() !== ''}
      confirm=${row.database}
      onAct=${async () => {
        await post('/admin/rename-tenant', { ...ownerOf(row), to: to.value.trim() })
        onGone()
      }}
      onClose=${onClose}
    >
      <p>
        The tenant and its database get another name. Calls wait meanwhile. Afterwards calls that
        name <code>${row.tenant_id}</code> are refused.
      </p>
      <${Field} label="New tenant id" value=${to} required />
    <//>
  `
}
