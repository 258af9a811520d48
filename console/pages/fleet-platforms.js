import { useSignal } from '@preact/signals'
import { Act } from '../components/act.js'
import { Badge } from '../components/badge.js'
import { formatChecksum, formatCount } from '../components/format.js'
import { numberColumn, Table } from '../components/table.js'
import { html } from '../html.js'
import { ONE_SERVER } from '../moves.js'
import { linkTo, route, setParams } from '../store.js'
import { Rebalance } from './rebalance.js'

/** States of databases: what needs somebody is first. */
export const STATES = ['failed', 'missing', 'drifted', 'pending', 'suspended', 'synced']

/** @type {import('../components/table.js').Column[]} */
const COLUMNS = [
  {
    key: 'platform',
    label: 'Platform',
    isHead: true,
    sort: (row) => row.platform,
    cell: (row) => html`<a href=${linkTo('fleet', { platform: row.platform })}>${row.platform}</a>`,
  },
  numberColumn('databases', 'Databases', formatCount),
  {
    key: 'states',
    label: 'States',
    cell: (row) =>
      STATES.filter((state) => row[state] > 0).map(
        (state) => html`
          <a class="state" href=${linkTo('fleet', { platform: row.platform, state })}>
            <${Badge} state=${state} count=${row[state]} />
          </a> `,
      ),
  },
  {
    key: 'schema',
    label: 'Newest archive',
    isWide: true,
    cell: (row) => html`<code>${formatChecksum(row.schema)}</code>`,
  },
  { key: 'isolation', label: 'Isolation', isWide: true, cell: (row) => row.isolation },
]

/** All platforms. @param {{ platforms: any[], servers?: string[] }} props servers: undefined without SERVERS */
export function Platforms({ platforms, servers }) {
  const isShown = useSignal(false)
  const show = (/** @type {boolean} */ value) => () => {
    isShown.value = value
  }
  return html`
    <h2>Platforms</h2>
    <div class="bar">
      <${Act} label="Plan moves between servers…" onAct=${show(true)} can=${servers ? true : ONE_SERVER} short />
    </div>
    ${isShown.value && html`<${Rebalance} onClose=${show(false)} />`}
    <${Table}
      label="Platforms"
      columns=${COLUMNS}
      rows=${platforms}
      keyOf=${(/** @type {any} */ row) => row.platform}
      sort=${route.value.params.sort ?? 'platform'}
      onSort=${(/** @type {string} */ sort) => setParams({ sort }, { replace: true })}
      empty="No platform is registered, or none that your address may name"
    />
  `
}
