import { useSignal } from '@preact/signals'
import { post } from '../api.js'
import { Choice } from '../components/choice.js'
import { ActDialog } from '../components/dialog.js'
import { Check, Field } from '../components/field.js'
import { html } from '../html.js'
import { parseLabels } from '../labels.js'

/** @param {{ platform: string, servers?: string[], onClose: () => void }} props servers: undefined without SERVERS */
export function CreateTenant({ platform, servers, onClose }) {
  const server = useSignal('')
  const id = useSignal('')
  const labels = useSignal('')
  const hasSchema = useSignal(true)
  const create = async () => {
    const given = parseLabels(labels.value)
    await post('/admin/create-tenant', {
      platform,
      tenant_id: id.value.trim(),
      deploy: hasSchema.value,
      ...(server.value !== '' && { server: server.value }),
      ...(Object.keys(given).length > 0 && { labels: given }),
    })
  }
  return html`
    <${ActDialog}
      title=${`New tenant of ${platform}`}
      act="Create"
      isReady=${id.value.trim() !== ''}
      onAct=${create}
      onClose=${onClose}
    >
      <p>A database is created for the tenant.</p>
      <${Field} label="Tenant id" value=${id} required />
      <${Field} label="Labels, such as plan:pro, region:eu" value=${labels} placeholder="none" />
      ${
        servers &&
        html`
          <${Choice}
            label="PostgreSQL server"
            value=${server.value}
            choices=${servers.map((name) => [name, name])}
            any="the one that the settings choose"
            onChoose=${(/** @type {string} */ name) => {
              server.value = name
            }}
          />
        `
      }
      <${Check} label="With the newest schema of the platform; else it is empty" value=${hasSchema} />
    <//>
  `
}
