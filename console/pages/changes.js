import { Diff } from '../components/diff.js'
import { formatChecksum, plural } from '../components/format.js'
import { Loading } from '../components/notice.js'
import { html } from '../html.js'
import { useResource } from '../resource.js'

/**
 * What two archives differ in, file by file; without `from`, what an archive has.
 * @param {{ platform: string, from?: string, to: string, can?: string | true }} props
 */
export function Changes({ platform, from, to, can = true }) {
  const changes = useResource(can === true ? '/admin/changes' : null, { platform, from, to })
  if (can !== true) return html`<p class="faint">${can}</p>`
  if (changes.error?.status === 404) return html`<p class="faint">${changes.error.message}</p>`
  const files = changes.data?.files ?? []
  return html`
    <${Loading} resource=${changes} />
    ${
      changes.data &&
      html`
      <p class="faint">
        ${from ? `${formatChecksum(from)} → ` : 'All that is in '}${formatChecksum(to)}: ${files.length === 0 ? 'no file differs' : plural(files.length, 'file')}
      </p>`
    }
    ${files.map(
      (/** @type {any} */ file) => html`
      <details key=${file.path} open=${files.length <= 5}>
        <summary><code>${file.path}</code> ${file.change}</summary>
        ${file.diff ? html`<${Diff} text=${file.diff} label=${`Changes of ${file.path}`} />` : html`<p class="faint">No text</p>`}
      </details>`,
    )}
  `
}
