import { useSignal } from '@preact/signals'
import { useMemo } from 'preact/hooks'
import { Chart } from '../components/chart.js'
import { formatCount, formatMs, formatTime, plural } from '../components/format.js'
import { RunningJobs } from '../components/jobs.js'
import { Loading } from '../components/notice.js'
import { history } from '../history.js'
import { html } from '../html.js'
import { usePolling } from '../polling.js'
import { useResource } from '../resource.js'
import { live, overview, platform } from '../store.js'
import { CallsInFlight } from './now-calls.js'
import { Gateways, Replicas, Servers, Vitals } from './now-servers.js'
import { Databases, Sessions } from './now-sessions.js'
import { Waits } from './now-waits.js'

/** Milliseconds between two requests. */
const EVERY = 2000

/** The page Now: what runs at this moment, on all gateways and in PostgreSQL. */
export function Now() {
  const activity = useResource('/admin/activity')
  const isPaused = useSignal(false)
  usePolling(activity.reload, EVERY, !isPaused.value)
  const { data, reload } = activity
  return html`
    <div class="bar">
      <h2>Now</h2>
      <span class="faint">${data && `as of ${formatTime(data.at)}`}</span>
      <button
        type="button"
        class="quiet"
        aria-pressed=${isPaused.value}
        onClick=${() => {
          isPaused.value = !isPaused.value
          if (!isPaused.value) reload()
        }}
      >
        ${isPaused.value ? 'Go on' : 'Pause'}
      </button>
    </div>
    <${RunningJobs} />
    <${Overview} permits=${data?.permits} />
    <${Loading} resource=${activity} />
    ${data && html`<${Activity} data=${data} reload=${reload} />`}
  `
}

/** @param {{ data: any, reload: () => void }} props */
function Activity({ data, reload }) {
  const chosen = platform.value
  const { sessions, calls, pools } = useMemo(() => {
    const fits = (/** @type {any} */ one) => chosen === '' || one.platform === chosen
    return {
      sessions: (data.sessions ?? []).filter(fits),
      calls: data.calls.filter(fits),
      pools: data.pools.filter(fits),
    }
  }, [data, chosen])
  /** @type {any[]} */
  const servers = data.servers ?? []
  const canSee = data.can?.see_sessions ?? true
  return html`
    ${canSee !== true && html`<p class="notice warn">${canSee}</p>`}
    ${data.unanswered?.length > 0 && html`<p class="notice warn">Calls are missing: no answer of the gateway ${data.unanswered.join(', ')}</p>`}
    <${CallsInFlight} calls=${calls} gateways=${data.gateways} reload=${reload} />
    ${servers.map(
      ({ name, why }) =>
        why &&
        html`<p class="notice warn">The PostgreSQL server ${name} does not answer: ${why}</p>`,
    )}
    ${
      servers.length === 0
        ? html`<${Waits} sessions=${data.sessions ?? []} platform=${chosen} />`
        : servers.map(
            ({ name }) =>
              html`<${Waits} key=${name} sessions=${(data.sessions ?? []).filter((/** @type {any} */ one) => one.server === name)} platform=${chosen} server=${name} />`,
          )
    }
    <${Servers} servers=${servers} />
    <${Databases} sessions=${sessions} pools=${pools} hasServers=${servers.length > 0} />
    <${Sessions} sessions=${sessions} hasServers=${servers.length > 0} />
    <${Gateways} gateways=${data.gateways} />
    <${Replicas} replicas=${data.replicas} />
    ${
      servers.length === 0
        ? data.vitals && html`<${Vitals} vitals=${data.vitals} />`
        : servers.map(
            ({ name, vitals }) =>
              vitals && html`<${Vitals} key=${name} vitals=${vitals} server=${name} />`,
          )
    }
  `
}

/** This gateway at a glance. @param {{ permits?: { held: number, capacity: number } }} props */
function Overview({ permits }) {
  const now = overview.value
  const connections = now?.connections
  const cards = /** @type {[string, string, string][]} */ ([
    [
      'Calls',
      now ? `${formatCount(now.calls_per_s)} a second` : '–',
      now ? `${formatCount(now.errors_per_s)} errors a second` : '',
    ],
    [
      'Connections of this gateway',
      permits ? `${formatCount(permits.held)} of ${formatCount(permits.capacity)}` : '–',
      connections
        ? `${connections.busy} busy, ${connections.idle} idle, ${plural(connections.waiting, 'request')} waiting`
        : '',
    ],
    ['Deploys', now ? formatCount(now.deploys_running) : '–', 'running or waiting'],
    ['Event loop', now ? formatMs(now.event_loop_ms) : '–', 'longest delay in the last second'],
  ])
  const { state, why } = live.value
  return html`
    ${now && state === 'silent' && html`<p class="notice warn">The gateway gives ${why}: these numbers are those of before.</p>`}
    <ul class="cards">
      ${cards.map(
        ([name, value, more]) => html`
          <li class="card"><p>${name}</p><p class="number-big">${value}</p><p class="faint">${more}</p></li>`,
      )}
    </ul>
    <${Rates} />
  `
}

function Rates() {
  const all = history.value
  const { at, lines } = useMemo(
    () => ({
      at: all.map((one) => one.at),
      lines: [
        { label: 'calls/s', values: all.map((one) => one.calls_per_s) },
        { label: 'errors/s', values: all.map((one) => one.errors_per_s), color: 'bad' },
      ],
    }),
    [all],
  )
  if (all.length < 3) return null
  const last = all.at(-1) ?? {}
  return html`<${Chart}
    label=${`Calls and errors a second in the last minutes, now ${last.calls_per_s} and ${last.errors_per_s}`}
    at=${at}
    lines=${lines}
    format=${formatCount}
    height=${140}
  />`
}
