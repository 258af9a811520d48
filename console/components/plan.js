import { groupPlans } from '../deploys.js'
import { html } from '../html.js'
import { plural } from './format.js'

/** Names of databases that are written out. */
const MOST_NAMES = 8

/**
 * What a deploy would do, once for all databases of which it is the same.
 * @param {{ plans: any[] }} props of a dry run
 */
export function Plan({ plans }) {
  const groups = groupPlans(plans)
  if (groups.length === 0) return html`<p>No database is concerned.</p>`
  return html`${groups.map(
    ({ plan, databases }) => html`
      <section class="card">
        <h3>${plural(databases.length, 'database')}</h3>
        <p class="faint">
          ${databases.slice(0, MOST_NAMES).join(', ')}${databases.length > MOST_NAMES ? ' …' : ''}
        </p>
        <${Steps} plan=${plan} />
      </section>
    `,
  )}`
}

/** @param {{ plan: any }} props */
function Steps({ plan }) {
  const { functions = {}, views = {}, others = {} } = plan
  const steps = /** @type {[string, string[]][]} */ ([
    ['Migrations', plan.pending_migrations],
    ['Migrations that a dry run cannot run', plan.migrations_not_run],
    ['Migrations recorded again', plan.migrations_repaired],
    ['Types', plan.types],
    ['Tables made', plan.tables_created],
    ['Changes of tables', plan.table_changes?.map(changeText)],
    ['Functions made', functions.create],
    ['Functions changed', functions.change],
    ['Functions dropped', functions.drop],
    ['Views changed', views.change],
    ['Views dropped', views.drop],
    ['Triggers and policies changed', others.change],
    ['Triggers and policies dropped', others.drop],
    ['Seeders', plan.pending_seeders],
    ['Locks', plan.locks?.map((/** @type {any} */ one) => `${one.table}: ${one.lock}`)],
    ['Warnings', plan.warnings],
  ]).filter(([, items]) => items?.length > 0)
  if (steps.length === 0) return html`<p>Nothing changes.</p>`
  return html`
    <dl>
      ${steps.map(([name, items]) => html`<dt>${name}</dt><dd>${items.map(itemText).join(', ')}</dd>`)}
    </dl>
  `
}

/** @param {unknown} item */
function itemText(item) {
  return typeof item === 'string' ? item : JSON.stringify(item)
}

/**
 * A change of a table in words.
 * @param {{ change: string, table: string, column: string | null, class?: string }} one
 */
export function changeText({ change, table, column, class: effect }) {
  const where = column === null ? table : `${table}.${column}`
  return `${change.replaceAll('_', ' ')}: ${where}${effect ? ` (${effect})` : ''}`
}
