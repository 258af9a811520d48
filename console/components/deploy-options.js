import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { keptArchives } from '../deploys.js'
import { html } from '../html.js'
import { formatAgo, formatBytes, formatChecksum } from './format.js'
import { Notice } from './notice.js'

/**
 * @template T
 * @typedef {import('@preact/signals').Signal<T>} Signal
 */

/**
 * What a deploy is asked to do.
 * @typedef {object} Asked
 * @property {string} checksum of a kept archive; '' for a file
 * @property {string[]} allow conditions
 * @property {boolean} goesOn after a failure
 * @property {string} label labels that a tenant must have
 */

/** Conditions that refuse a deploy unless they are allowed. */
const ALLOWANCES = {
  data_loss: 'Data may be lost',
  functions_missing: 'Functions may be missing from the archive',
  older: 'The archive may be older than the one in place',
}

/** A kept archive, or a file. @param {{ platform: string, asked: Signal<Asked>, file: Signal<File | null> }} props */
export function ArchiveChoice({ platform, asked, file }) {
  const kept = useSignal(
    /** @type {{ archives: any[], error: any }} */ ({ archives: [], error: null }),
  )
  const lacking = useSignal('')
  useEffect(() => {
    keptArchives(platform).then(
      (archives) => {
        kept.value = { archives, error: null }
        if (
          asked.value.checksum !== '' &&
          !archives.some(({ checksum }) => checksum === asked.value.checksum)
        ) {
          lacking.value = asked.value.checksum
          asked.value = { ...asked.value, checksum: '' }
        }
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
        value=${asked.value.checksum}
        onChange=${(/** @type {any} */ event) => {
          asked.value = { ...asked.value, checksum: event.currentTarget.value }
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
      asked.value.checksum === '' &&
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

/** @param {{ kind: string, asked: Signal<Asked>, isOne: boolean }} props */
export function Options({ kind, asked, isOne }) {
  /** @param {string} name @param {boolean} isOn */
  const allow = (name, isOn) => {
    const others = asked.value.allow.filter((/** @type {string} */ one) => one !== name)
    asked.value = { ...asked.value, allow: isOn ? [...others, name] : others }
  }
  return html`
    ${
      !isOne &&
      html`
        <label class="check">
          <input
            type="checkbox"
            checked=${asked.value.goesOn}
            onChange=${(/** @type {any} */ event) => {
              asked.value = { ...asked.value, goesOn: event.currentTarget.checked }
            }}
          />
          Go on with the others after a failure
        </label>
        <label class="block">
          <span>Only tenants with these labels, such as plan:pro</span>
          <input
            autocomplete="off"
            spellcheck=${false}
            placeholder="all"
            value=${asked.value.label}
            onInput=${(/** @type {any} */ event) => {
              asked.value = { ...asked.value, label: event.currentTarget.value }
            }}
          />
        </label>
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
                  checked=${asked.value.allow.includes(name)}
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
