import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { Act } from '../components/act.js'
import { Badge } from '../components/badge.js'
import { DeployDialog } from '../components/deploy-dialog.js'
import { formatAgo, formatChecksum, formatCount, plural } from '../components/format.js'
import { RunningJobs } from '../components/jobs.js'
import { Away, Loading } from '../components/notice.js'
import { html } from '../html.js'
import { reloadOn } from '../reload-on.js'
import { useResource } from '../resource.js'
import { linkTo, platform, route, setParams } from '../store.js'
import { DatabaseDetail } from './fleet-detail.js'
import { FleetList } from './fleet-list.js'
import { Platforms, STATES } from './fleet-platforms.js'
import { CreateTenant } from './tenant-create.js'

/** The page Fleet: the platforms, or the databases of one. */
export function Fleet() {
  const chosen = platform.value
  const fleet = useResource('/admin/fleet', { platform: chosen })
  useEffect(() => {
    const isMeant = (/** @type {any} */ event) => chosen === '' || event.platform === chosen
    return reloadOn('fleet', fleet.reload, isMeant)
  }, [chosen, fleet.reload])
  const { data } = fleet
  return html`
    <${RunningJobs} />
    <${Loading} resource=${fleet} />
    ${data && chosen === '' && html`<${Away} servers=${data.servers_away} />`}
    ${data && chosen === '' && html`<${Platforms} platforms=${data.platforms} servers=${data.servers} />`}
    ${data && chosen !== '' && data.databases && html`<${OneFleet} key=${chosen} data=${data} reload=${fleet.reload} />`}
  `
}

/** One platform. @param {{ data: any, reload: () => void }} props */
function OneFleet({ data, reload }) {
  const [sum] = data.platforms
  const { params } = route.value
  const open =
    params.open && data.databases.find((/** @type {any} */ one) => one.database === params.open)
  const close = () => setParams({ open: '' }, { replace: true })
  const move = data.moving?.find((/** @type {any} */ one) => one.database === params.open)
  return html`
    <h2>${sum.platform}</h2>
    <p class="faint">
      ${plural(sum.databases, 'database')}, newest archive <code>${formatChecksum(sum.schema)}</code>,
      isolation: ${sum.isolation}.
      Drift was looked for: ${sum.drift_checked_at ? formatAgo(sum.drift_checked_at) : 'never'}.
    </p>
    <${Away} servers=${data.servers_away} />
    <${Acts} data=${data} sum=${sum} reload=${reload} />
    <${StateFilter} sum=${sum} />
    <${FleetList} databases=${data.databases} servers=${data.servers} />
    ${open && html`<${DatabaseDetail} key=${open.database} row=${open} sum=${sum} can=${data.can} servers=${data.servers} move=${move} onClose=${close} reload=${reload} />`}
  `
}

/** @param {{ sum: any }} props */
function StateFilter({ sum }) {
  const chosen = route.value.params.state ?? ''
  return html`
    <div class="bar" role="group" aria-label="States">
      ${STATES.filter((state) => sum[state] > 0 || state === chosen).map(
        (state) => html`
          <button
            type="button"
            class="quiet"
            aria-pressed=${state === chosen}
            onClick=${() => setParams({ state: state === chosen ? '' : state })}
          >
            <${Badge} state=${state} /> ${formatCount(sum[state])}
          </button>`,
      )}
    </div>
  `
}

/** What is done with the whole platform. @param {{ data: any, sum: any, reload: () => void }} props */
function Acts({ data, sum, reload }) {
  const shown = useSignal('')
  const { platform, schema, failed } = sum
  const pending = data.databases.filter(isToMigrate).length
  const all = {
    owner: { platform },
    checksum: schema ?? '',
    fields: { label: route.value.params.label ?? '' },
  }
  const close = () => {
    shown.value = ''
    reload()
  }
  const show = (/** @type {string} */ name) => () => {
    shown.value = name
  }
  return html`
    <div class="bar">
      <${Act} label="Deploy…" kind="main" onAct=${show('deploy')} />
      <${Act}
        label=${`Migrate pending (${pending})…`}
        onAct=${show('pending')}
        can=${pending > 0 || 'Every database has the newest archive'}
        short
      />
      <${Act}
        label=${`Retry failed (${failed})…`}
        onAct=${show('failed')}
        can=${failed > 0 || 'The last deploy failed nowhere'}
        short
      />
      <${Act} label="New tenant…" onAct=${show('create')} can=${data.can.create} />
      <a href=${linkTo('deploys', { platform, drift: 'yes' })}>Look for drift</a>
      <button type="button" class="quiet" onClick=${reload}>Reload</button>
    </div>
    ${shown.value === 'deploy' && html`<${DeployDialog} title="Deploy" ...${all} about=${`To ${plural(sum.databases, 'database')} of ${platform}. Those that have the archive are left as they are.`} onClose=${close} />`}
    ${shown.value === 'pending' && html`<${DeployDialog} title="Migrate what is pending" ...${all} about=${`To ${plural(pending, 'database')} of ${platform} without the newest archive. The others are left as they are.`} onClose=${close} />`}
    ${shown.value === 'failed' && html`<${DeployDialog} title="Retry what failed" ...${all} checksum=${failedArchive(data.databases) ?? schema ?? ''} fields=${{ only: 'failed' }} about=${`To ${plural(failed, 'database')} of ${platform} where the last deploy failed, of whatever archive: choose the same one again, or the mended one.`} onClose=${close} />`}
    ${shown.value === 'create' && html`<${CreateTenant} platform=${platform} servers=${data.servers} onClose=${close} />`}
  `
}

/** @param {any} row */
function isToMigrate(row) {
  return row.pending && row.state !== 'missing'
}

/** The archive that failed in most databases. @param {any[]} databases @returns {string | undefined} */
function failedArchive(databases) {
  /** @type {Map<string, number>} */
  const counts = new Map()
  for (const { error } of databases) {
    if (error?.archive) counts.set(error.archive, (counts.get(error.archive) ?? 0) + 1)
  }
  return [...counts].sort(([, one], [, other]) => other - one)[0]?.[0]
}
