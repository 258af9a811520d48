import { plural } from '../components/format.js'
import { Loading } from '../components/notice.js'
import { html } from '../html.js'
import { useResource } from '../resource.js'

/** Milliseconds for a look into each database. */
const LOOK_WITHIN = 30 * 60 * 1000

/** Names of databases that are written out. */
const MOST_NAMES = 20

/**
 * Compares the databases of a platform with their archive, which asks each of them.
 * @param {{ platform: string, database?: string }} props database: what concerns it alone
 */
export function Drift({ platform, database }) {
  const drift = useResource('/admin/drift', { platform }, LOOK_WITHIN)
  const { data } = drift
  /** @type {any[]} */
  const groups = (data?.groups ?? []).filter(
    (/** @type {any} */ one) => !database || one.databases.includes(database),
  )
  return html`
    <${Loading} resource=${drift} />
    ${data && !database && html`<p role="status">${data.summary}</p>`}
    ${data && database && groups.length === 0 && html`<p>It is like its archive now.</p>`}
    ${groups.map(
      (group) => html`
      <section class="card">
        ${
          !database &&
          html`<h3>${plural(group.count, 'database')}</h3>
          <p class="faint">${group.databases.slice(0, MOST_NAMES).join(', ')}${group.databases.length > MOST_NAMES ? ' …' : ''}</p>`
        }
        <ul>${group.differences.map((/** @type {any} */ one) => html`<li>${differenceText(one)}</li>`)}</ul>
      </section>`,
    )}
    ${(data?.unreachable ?? [])
      .filter((/** @type {any} */ one) => !database || one.database === database)
      .map((/** @type {any} */ one) => html`<p class="bad">${one.database}: ${one.message}</p>`)}
  `
}

/** @param {{ object: string, name: string, change: string, expected: string | null, actual: string | null }} one */
function differenceText({ object, name, change, expected, actual }) {
  const words = { missing: 'is missing', extra: 'is not in the archive', different: 'differs' }[
    change
  ]
  const values =
    change === 'different' ? ` (expected ${expected ?? 'none'}, is ${actual ?? 'none'})` : ''
  return `${object} ${name} ${words ?? change}${values}`
}
