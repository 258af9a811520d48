import { useMemo } from 'preact/hooks'
import { Badge } from '../components/badge.js'
import { Choice } from '../components/choice.js'
import {
  formatAgo,
  formatBytes,
  formatChecksum,
  formatCount,
  formatTime,
} from '../components/format.js'
import { numberColumn, Table, textColumn } from '../components/table.js'
import { html } from '../html.js'
import { labelWords } from '../labels.js'
import { nameOf } from '../owner.js'
import { linkTo, route, setParams } from '../store.js'

/** Labels that can be chosen. */
const MOST_LABELS = 200

/** @param {any} row */
const openLink = (row) => linkTo('fleet', { ...route.value.params, open: row.database })

/**
 * Opens it here; with Ctrl, Shift or another key the browser opens the link as it does any other.
 * @param {any} row
 */
const open = (row) => (/** @type {MouseEvent} */ event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return
  event.preventDefault()
  setParams({ open: row.database })
}

/** @type {import('../components/table.js').Column[]} */
const COLUMNS = [
  {
    key: 'name',
    label: 'Tenant',
    isHead: true,
    sort: (row) => (row.tenant_id === null ? '' : nameOf(row)),
    cell: (row) =>
      html`<a href=${openLink(row)} onClick=${open(row)} title=${row.database}>${nameOf(row)}</a>`,
  },
  {
    key: 'state',
    label: 'State',
    sort: (row) => row.state,
    cell: (row) => html`
      <${Badge} state=${row.state} title=${row.error?.message} />
      ${row.held && html` <span class="faint" title="Its calls wait for a rename or a copy">held</span>`}
      ${row.error && html` <span class="faint">${row.error.message}</span>`}
    `,
  },
  {
    key: 'schema',
    label: 'Archive',
    isWide: true,
    sort: (row) => row.schema,
    cell: (row) => html`<code>${formatChecksum(row.schema)}</code>`,
  },
  {
    key: 'deployed',
    label: 'Last deploy',
    isNumber: true,
    sort: (row) => (row.last_deployed_at ? Date.parse(row.last_deployed_at) : null),
    cell: (row) =>
      html`<span title=${formatTime(row.last_deployed_at)}>${formatAgo(row.last_deployed_at)}</span>`,
  },
  {
    key: 'size',
    label: 'Size',
    isNumber: true,
    isWide: true,
    sort: (row) => row.size_bytes,
    cell: (row) => formatBytes(row.size_bytes),
  },
  numberColumn('calls', 'Calls today', formatCount, true),
  {
    ...numberColumn('errors', 'Errors today', formatCount, true),
    cell: (row) =>
      html`<span class=${row.errors > 0 ? 'bad' : ''}>${formatCount(row.errors)}</span>`,
  },
  {
    key: 'labels',
    label: 'Labels',
    isWide: true,
    cell: (row) =>
      labelWords(row.labels ?? {}).map((word) => html`<span class="label">${word}</span>`),
  },
]

/** The column of the PostgreSQL servers, where there are several. @type {import('../components/table.js').Column} */
const SERVER = textColumn('server', 'Server')

const WITH_SERVER = [...COLUMNS.slice(0, 2), SERVER, ...COLUMNS.slice(2)]

/**
 * The databases of a platform that fit the filters.
 * @param {{ databases: any[], servers?: string[] }} props servers: undefined without SERVERS
 */
export function FleetList({ databases, servers }) {
  const {
    search = '',
    state = '',
    label = '',
    server = '',
    sort = 'name',
    open = '',
  } = route.value.params
  const labels = useMemo(() => labelsOf(databases), [databases])
  const indexed = useMemo(() => databases.map((row) => ({ row, text: textOf(row) })), [databases])
  const rows = useMemo(
    () => filter(indexed, { search, state, label, server }),
    [indexed, search, state, label, server],
  )
  const set = (/** @type {string} */ name) => (/** @type {string} */ value) =>
    setParams({ [name]: value }, { replace: true })
  return html`
    <div class="bar" role="search">
      <input
        id="search"
        class="grow"
        type="search"
        aria-label="Search"
        placeholder="Search: tenant, database, label, error"
        autocomplete="off"
        spellcheck=${false}
        value=${search}
        onInput=${(/** @type {any} */ event) => set('search')(event.currentTarget.value)}
      />
      ${
        labels.length > 0 &&
        html`
          <${Choice}
            label="Label"
            value=${label}
            choices=${labels.map((word) => [word, word])}
            onChoose=${set('label')}
          />
        `
      }
      ${
        servers &&
        html`
          <${Choice}
            label="Server"
            value=${server}
            choices=${servers.map((name) => [name, name])}
            onChoose=${set('server')}
          />
        `
      }
      <span class="faint" role="status">${formatCount(rows.length)} of ${formatCount(databases.length)}</span>
    </div>
    <${Table}
      label="Databases"
      columns=${servers ? WITH_SERVER : COLUMNS}
      rows=${rows}
      keyOf=${(/** @type {any} */ row) => row.database}
      sort=${sort}
      onSort=${set('sort')}
      isChosen=${(/** @type {any} */ row) => row.database === open}
      empty="No database fits the filters"
    />
  `
}

/** @param {any} row */
function textOf(row) {
  const words = [nameOf(row), row.database, row.state, ...labelWords(row.labels ?? {})]
  return [...words, row.error?.message, row.error?.code, row.schema].join(' ').toLowerCase()
}

/**
 * Every word has to be found.
 * @param {{ row: any, text: string }[]} indexed
 * @param {{ search: string, state: string, label: string, server: string }} asked
 */
function filter(indexed, { search, state, label, server }) {
  const words = search
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '')
  return indexed
    .filter(
      ({ row, text }) =>
        (state === '' || row.state === state) &&
        (server === '' || row.server === server) &&
        (label === '' || labelWords(row.labels ?? {}).includes(label)) &&
        words.every((word) => text.includes(word)),
    )
    .map(({ row }) => row)
}

/** @param {any[]} databases */
function labelsOf(databases) {
  const all = new Set(databases.flatMap((row) => labelWords(row.labels ?? {})))
  return [...all].sort().slice(0, MOST_LABELS)
}
