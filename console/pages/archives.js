import { useSignal } from '@preact/signals'
import { Act, firstReason } from '../components/act.js'
import { DeployDialog } from '../components/deploy-dialog.js'
import { Dialog } from '../components/dialog.js'
import { formatBytes, formatChecksum, formatCount, formatTime } from '../components/format.js'
import { Notice } from '../components/notice.js'
import { Table } from '../components/table.js'
import { keptArchive } from '../deploys.js'
import { html } from '../html.js'
import { saveBlob } from '../save-blob.js'
import { Changes } from './changes.js'

/** What is said of an archive that the gateway does not keep. */
const NOT_KEPT = 'The gateway does not keep this archive (KEPT_ARCHIVES)'

/**
 * The archives of a platform: what each changed, and the way back to it.
 * @param {{ platform: string, archives: any[], can: any, onDone: () => void }} props newest first
 */
export function Archives({ platform, archives, can, onDone }) {
  const shown = useSignal(/** @type {{ act: string, archive: any } | null} */ (null))
  const show = (/** @type {string} */ act, /** @type {any} */ archive) => () => {
    shown.value = { act, archive }
  }
  const close = () => {
    shown.value = null
  }
  const done = () => {
    close()
    onDone()
  }
  const beforeOf = (/** @type {any} */ archive) => archives[archives.indexOf(archive) + 1]
  const failed = useSignal(/** @type {any} */ (null))
  const save = async (/** @type {any} */ { checksum }) => {
    failed.value = null
    try {
      const bytes = await keptArchive(platform, checksum)
      saveBlob(bytes, `${platform}-${formatChecksum(checksum)}.tar.gz`)
    } catch (error) {
      failed.value = error
    }
  }
  /** @type {import('../components/table.js').Column[]} */
  const columns = [
    {
      key: 'checksum',
      label: 'Archive',
      isHead: true,
      cell: (row) => html`<code title=${row.checksum}>${formatChecksum(row.checksum)}</code>`,
    },
    { key: 'first', label: 'First deploy', cell: (row) => formatTime(row.first_deployed_at) },
    {
      key: 'databases',
      label: 'Databases',
      isNumber: true,
      cell: (row) => formatCount(row.databases),
    },
    {
      key: 'size',
      label: 'Size',
      isNumber: true,
      isWide: true,
      cell: (row) => formatBytes(row.size_bytes),
    },
    {
      key: 'acts',
      label: 'Acts',
      cell: (row) => {
        const isKept = row.size_bytes !== null || NOT_KEPT
        const before = beforeOf(row)
        const hasBefore = before && before.size_bytes === null ? NOT_KEPT : true
        return html`
          <${Act} label="Changes" kind="quiet" onAct=${show('changes', row)} can=${firstReason(isKept, hasBefore, can.changes)} short />
          <${Act} label="Download" kind="quiet" onAct=${() => save(row)} can=${isKept} short />
          <${Act} label="Revert…" kind="quiet" onAct=${show('revert', row)} can=${firstReason(isKept, can.revert, row !== archives[0] || 'It is the newest archive')} short />
        `
      },
    },
  ]
  const { act, archive } = shown.value ?? {}
  return html`
    ${failed.value && html`<${Notice} error=${failed.value} />`}
    <${Table} label="Archives" columns=${columns} rows=${archives} keyOf=${(/** @type {any} */ row) => row.checksum} empty="None" />
    ${
      act === 'changes' &&
      html`
      <${Dialog} title=${`What ${formatChecksum(archive.checksum)} changed`} side onClose=${close}>
        <${Changes} platform=${platform} from=${beforeOf(archive)?.checksum} to=${archive.checksum} />
      <//>`
    }
    ${act === 'revert' && html`<${DeployDialog} title=${`Revert to ${formatChecksum(archive.checksum)}`} kind="revert" owner=${{ platform }} checksum=${archive.checksum} about=${`All databases of ${platform}.`} onClose=${done} />`}
  `
}
