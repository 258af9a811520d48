import { useSignal } from '@preact/signals'
import { post } from '../api.js'
import { ActDialog } from '../components/dialog.js'
import { Check, Field } from '../components/field.js'
import { formatBytes } from '../components/format.js'
import { html } from '../html.js'
import { nameOf, ownerOf } from '../owner.js'

/** @param {{ row: any, can: any, onClose: () => void, onGone: () => void }} props */
export function DropTenant({ row, can, onClose, onGone }) {
  const hasDump = useSignal(can.drop_with_dump === true)
  const hours = useSignal('24')
  const isNow = hours.value === '' || Number(hours.value) === 0
  const drop = async () => {
    await post('/admin/drop-tenant', {
      ...ownerOf(row),
      confirm: row.database,
      dump: hasDump.value,
      ...(!isNow && { after_hours: Number(hours.value) }),
    })
    if (isNow) onGone()
  }
  return html`
    <${ActDialog}
      title=${`Drop ${nameOf(row)}`}
      act=${isNow ? 'Drop now' : 'Suspend, and drop later'}
      isDanger
      confirm=${row.database}
      onAct=${drop}
      onClose=${onClose}
    >
      <p>
        The database <code>${row.database}</code> is dropped with all its rows
        (${formatBytes(row.size_bytes)}). ${
          isNow
            ? 'This cannot be undone without a dump.'
            : 'Until then the tenant is suspended, and resuming it calls the drop off.'
        }
      </p>
      <${Field} label="Hours until it is dropped; 0 is at once" type="number" value=${hours} />
      <${Check} label="Keep a dump of the database" value=${hasDump} can=${can.drop_with_dump} />
    <//>
  `
}
