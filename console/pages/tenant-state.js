import { useSignal } from '@preact/signals'
import { post } from '../api.js'
import { ActDialog } from '../components/dialog.js'
import { Field } from '../components/field.js'
import { html } from '../html.js'
import { labelsText, parseLabels } from '../labels.js'
import { nameOf, ownerOf } from '../owner.js'

/** @param {{ row: any, onClose: () => void }} props */
export function SuspendTenant({ row, onClose }) {
  const message = useSignal('')
  return html`
    <${ActDialog}
      title=${`Suspend ${nameOf(row)}`}
      act="Suspend"
      isDanger
      onAct=${() =>
        post('/admin/suspend-tenant', {
          ...ownerOf(row),
          ...(message.value !== '' && { message: message.value }),
        })}
      onClose=${onClose}
    >
      <p>
        The calls of this tenant are answered with 503 until it is resumed, on every gateway. Its
        data stays, and deploys go on.
      </p>
      <${Field} label="Message to callers" value=${message} placeholder="none" />
    <//>
  `
}

/** @param {{ row: any, onClose: () => void }} props */
export function LabelTenant({ row, onClose }) {
  const before = row.labels ?? {}
  const typed = useSignal(labelsText(before))
  const save = () => {
    const after = parseLabels(typed.value)
    /** @type {Record<string, string | null>} */
    const labels = { ...after }
    for (const name of Object.keys(before)) if (!(name in after)) labels[name] = null
    return post('/admin/label-tenant', { ...ownerOf(row), labels })
  }
  return html`
    <${ActDialog} title=${`Labels of ${nameOf(row)}`} act="Save" onAct=${async () => save()} onClose=${onClose}>
      <${Field} label="Labels, such as plan:pro, region:eu" value=${typed} placeholder="none" />
    <//>
  `
}
