import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { keptArchives } from '../deploys.js'
import { html } from '../html.js'
import { Check, Field } from './field.js'
import { formatAgo, formatBytes, formatChecksum } from './format.js'
import { Notice } from './notice.js'

/**
 * @template T
 * @typedef {import('@preact/signals').Signal<T>} Signal
 */

/** Conditions that refuse a deploy unless they are allowed. */
const ALLOWANCES = {
  data_loss: 'Data may be lost',
  functions_missing: 'Functions may be missing from the archive',
  older: 'The archive may be older than the one in place',
}

/**
 * A kept archive, or a file.
 * @param {{ platform: string, chosen: Signal<string>, file: Signal<File | null> }} props
 *   chosen: checksum of a kept archive; '' for a file
 */
export function ArchiveChoice({ platform, chosen, file }) {
  const kept = useSignal(
    /** @type {{ archives: any[], error: any }} */ ({ archives: [], error: null }),
  )
  const lacking = useSignal('')
  useEffect(() => {
    keptArchives(platform).then(
      (archives) => {
        kept.value = { archives, error: null }
        const isKept = archives.some(({ checksum }) => checksum === chosen.value)
        if (chosen.value === '' || isKept) return
        lacking.value = chosen.value
        chosen.value = ''
      },
      (error) => {
        kept.value = { archives: [], error }
      },
    )
  }, [])
  const { archives, error } = kept.value
  return html`
    ${error && html`<${Notice} error=${error} />`}
    <label class="block">
      <span>Archive</span>
      <select
        value=${chosen.value}
        onChange=${(/** @type {any} */ event) => {
          chosen.value = event.currentTarget.value
        }}
      >
        <option value="">a file of this computer</option>
        ${archives.map(
          (one) => html`
            <option value=${one.checksum}>
              ${formatChecksum(one.checksum)}, ${formatAgo(one.last_deployed_at)}, ${formatBytes(one.size_bytes)}
            </option>`,
        )}
      </select>
    </label>
    ${lacking.value !== '' && html`<p class="faint">The gateway does not keep ${formatChecksum(lacking.value)}: an archive is kept once a deploy of it has succeeded. Choose its file, mended if that was the fault.</p>`}
    ${archives.length === 0 && !error && html`<p class="faint">The gateway keeps no archive of this platform (KEPT_ARCHIVES).</p>`}
    ${
      chosen.value === '' &&
      html`
        <label class="block">
          <span>File: the tar.gz of the folder postgresql</span>
          <input
            type="file"
            accept=".gz,.tgz,application/gzip"
            onChange=${(/** @type {any} */ event) => {
              file.value = event.currentTarget.files[0] ?? null
            }}
          />
        </label>
        ${file.value && html`<p class="faint">Chosen: ${file.value.name}</p>`}
      `
    }
  `
}

/**
 * What else a deploy is asked to do.
 * @param {object} props
 * @param {string} props.kind
 * @param {boolean} props.isOne whether it is of one database
 * @param {Signal<string[]>} props.allowed conditions
 * @param {Signal<boolean>} props.goesOn after a failure
 * @param {Signal<string>} props.label labels that a tenant must have
 */
export function Options({ kind, isOne, allowed, goesOn, label }) {
  /** @param {string} name @param {boolean} isOn */
  const allow = (name, isOn) => {
    const others = allowed.value.filter((one) => one !== name)
    allowed.value = isOn ? [...others, name] : others
  }
  return html`
    ${
      !isOne &&
      html`
        <${Check} label="Go on with the others after a failure" value=${goesOn} />
        <${Field} label="Only tenants with these labels, such as plan:pro" value=${label} placeholder="all" />
      `
    }
    ${
      kind === 'migrate' &&
      html`
        <details>
          <summary>What a deploy refuses unless it is allowed</summary>
          ${Object.entries(ALLOWANCES).map(
            ([name, text]) => html`
              <label class="check">
                <input
                  type="checkbox"
                  checked=${allowed.value.includes(name)}
                  onChange=${(/** @type {any} */ event) => allow(name, event.currentTarget.checked)}
                />
                ${text} <code>${name}</code>
              </label>`,
          )}
        </details>
      `
    }
  `
}
