import { useSignal } from '@preact/signals'
import { useEffect, useMemo } from 'preact/hooks'
import { get } from '../api.js'
import { Act } from '../components/act.js'
import { Badge } from '../components/badge.js'
import { DeployDialog } from '../components/deploy-dialog.js'
import {
  formatAgo,
  formatChecksum,
  formatCount,
  formatMs,
  formatTime,
  plural,
} from '../components/format.js'
import { RunningJobs } from '../components/jobs.js'
import { Loading, Notice } from '../components/notice.js'
import { PlatformNeeded } from '../components/platform-needed.js'
import { Table } from '../components/table.js'
import { onEvent } from '../events.js'
import { html } from '../html.js'
import { useResource } from '../resource.js'
import { linkTo, platform, route, setParams } from '../store.js'
import { Archives } from './archives.js'
import { DeployDetail } from './deploy-detail.js'
import { groupDeploys } from './deploy-groups.js'
import { Drift } from './drift.js'

/** Rows of the history that are read at once: a deploy of a fleet is one row a database. */
const PAGE = 500

/** The page Deploys: the history of a platform, its archives, drift. */
export function Deploys() {
  const chosen = platform.value
  if (chosen === '')
    return html`<${PlatformNeeded} page="deploys" what="Deploys are those of a platform" />`
  return html`<${OfPlatform} key=${chosen} platform=${chosen} />`
}

/** @param {{ platform: string }} props */
function OfPlatform({ platform }) {
  const first = useResource('/admin/deployments', { platform, limit: PAGE })
  const archives = useResource('/admin/archives', { platform })
  const fleet = useResource('/admin/fleet', { platform })
  const older = useSignal(
    /** @type {{ rows: any[], after: number | null | undefined, error: any }} */ (NO_OLDER),
  )
  const isDeploying = useSignal(false)
  useEffect(
    () =>
      onEvent('job', (job) => {
        if (job.platform !== platform || job.state === 'running') return
        first.reload()
        archives.reload()
      }),
    [platform, first.reload, archives.reload],
  )
  const rows = useMemo(
    () => [...(first.data?.deployments ?? []), ...older.value.rows],
    [first.data, older.value],
  )
  const groups = useMemo(() => groupDeploys(rows), [rows])
  const after = older.value.after === undefined ? first.data?.next_after : older.value.after
  const more = async () => {
    try {
      const page = await get('/admin/deployments', { platform, limit: PAGE, after })
      const all = [...older.value.rows, ...page.deployments]
      older.value = { rows: all, after: page.next_after, error: null }
    } catch (error) {
      older.value = { ...older.value, error }
    }
  }
  const { request, drift } = route.value.params
  const open = groups.find((one) => one.request === request)
  const kept = archives.data?.archives ?? []
  const can = fleet.data?.can ?? {}
  const close = () => {
    isDeploying.value = false
    first.reload()
    archives.reload()
  }
  return html`
    <h2>Deploys of ${platform}</h2>
    <${RunningJobs} />
    <div class="bar">
      <${Act} label="Deploy…" kind="main" onAct=${() => {
        isDeploying.value = true
      }} />
      <button type="button" aria-expanded=${drift === 'yes'} onClick=${() => setParams({ drift: drift === 'yes' ? '' : 'yes' })}>
        Look for drift
      </button>
    </div>
    ${isDeploying.value && html`<${DeployDialog} title="Deploy" owner=${{ platform }} about=${`To all databases of ${platform}. Those that have the archive are left as they are.`} onClose=${close} />`}
    ${
      drift === 'yes' &&
      html`
      <section aria-label="Drift">
        <p class="faint">Every database is compared with its archive, which may take a while.</p>
        <${Drift} platform=${platform} />
      </section>`
    }
    <section class="short" aria-label="History">
      <h3>History</h3>
      <${Loading} resource=${first} />
      ${first.data && html`<${Table} label="History" columns=${COLUMNS} rows=${groups} keyOf=${(/** @type {any} */ row) => row.request} empty="Nothing was deployed yet" />`}
      ${older.value.error && html`<${Notice} error=${older.value.error} />`}
      ${after && html`<p><button type="button" onClick=${more}>Older deploys</button></p>`}
    </section>
    <section class="short" aria-label="Archives">
      <h3>Archives</h3>
      <${Loading} resource=${archives} />
      ${archives.data && html`<${Archives} platform=${platform} archives=${kept} can=${can} onDone=${close} />`}
    </section>
    ${open && html`<${DeployDetail} key=${open.request} deploy=${open} platform=${platform} archives=${kept} can=${can} onClose=${() => setParams({ request: '' }, { replace: true })} onDone=${close} />`}
  `
}

const NO_OLDER = { rows: [], after: undefined, error: null }

/** @typedef {import('./deploy-groups.js').DeployGroup} DeployGroup */

/** @type {import('../components/table.js').Column[]} */
const COLUMNS = [
  {
    key: 'at',
    label: 'Time',
    isHead: true,
    cell: (/** @type {DeployGroup} */ row) => html`
      <a href=${linkTo('deploys', { ...route.value.params, request: row.request })} title=${formatTime(row.at)}>
        ${formatAgo(row.at)}
      </a>`,
  },
  {
    key: 'status',
    label: 'State',
    cell: (/** @type {DeployGroup} */ row) => html`
      <${Badge} state=${row.failed.length > 0 ? 'failed' : 'completed'} />
      ${row.failed.length > 0 && html` <span class="faint">${row.failed[0].error?.message}</span>`}`,
  },
  {
    key: 'databases',
    label: 'Databases',
    isNumber: true,
    cell: (/** @type {DeployGroup} */ row) =>
      row.rows.length === 1
        ? row.rows[0].database
        : row.failed.length === 0
          ? plural(row.rows.length, 'database')
          : `${row.failed.length} of ${formatCount(row.rows.length)} failed`,
  },
  {
    key: 'archive',
    label: 'Archive',
    cell: (/** @type {DeployGroup} */ row) => html`<code>${formatChecksum(row.archive)}</code>`,
  },
  {
    key: 'migrations',
    label: 'Migrations',
    isNumber: true,
    isWide: true,
    cell: (/** @type {DeployGroup} */ row) => formatCount(row.migrations.length),
  },
  {
    key: 'took',
    label: 'Longest',
    isNumber: true,
    isWide: true,
    cell: (/** @type {DeployGroup} */ row) => formatMs(row.longestMs),
  },
]
