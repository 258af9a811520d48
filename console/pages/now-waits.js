import { formatSeconds, namesText, plural } from '../components/format.js'
import { html } from '../html.js'

/** Sessions that are written out, of those that one waits for. */
const MOST_NAMES = 5

/**
 * Who waits for whom: the sessions that hold locks, and below each those that wait for it.
 * @param {{ sessions: any[], platform: string, server?: string }} props platform: '' for all;
 *   server: the one whose sessions these are, of several
 */
export function Waits({ sessions, platform, server }) {
  const title = `Who waits for whom${server === undefined ? '' : ` on ${server}`}`
  const trees = waitTrees(sessions).filter((tree) => platform === '' || hasPlatform(tree, platform))
  const count = sessions.filter(({ blocked_by }) => blocked_by.length > 0).length
  return html`
    <section aria-label=${title}>
      <h3>${title}</h3>
      ${
        trees.length === 0
          ? html`<p class="faint">No session waits for a lock of another one.</p>`
          : html`
            <p class="warn">${plural(count, 'session')} ${count === 1 ? 'waits' : 'wait'} for a lock.</p>
            <ul class="waits">${trees.map((tree) => html`<${Waiter} key=${tree.pid} tree=${tree} />`)}</ul>`
      }
    </section>
  `
}

/**
 * @typedef {object} Tree
 * @property {number} pid
 * @property {any} session undefined: it is not seen, such as a prepared transaction (pid 0)
 * @property {Tree[]} waiters
 */

/**
 * Puts each session that waits below one that it waits for: one that waits for nobody, where there is
 * one. In a queue for a lock each waits for all before it, which would be a tree for each order.
 * @param {any[]} sessions
 * @returns {Tree[]}
 */
function waitTrees(sessions) {
  const byPid = new Map(sessions.map((one) => [one.pid, one]))
  const isFree = (/** @type {number} */ pid) => (byPid.get(pid)?.blocked_by.length ?? 0) === 0
  /** @type {Map<number, number[]>} */
  const waiters = new Map()
  for (const { pid, blocked_by } of sessions) {
    if (blocked_by.length === 0) continue
    const holder = blocked_by.find(isFree) ?? blocked_by[0]
    waiters.set(holder, [...(waiters.get(holder) ?? []), pid])
  }
  /** @type {Set<number>} */
  const seen = new Set()
  /** @type {(pid: number) => Tree} */
  const treeOf = (pid) => {
    seen.add(pid)
    const below = (waiters.get(pid) ?? []).filter((one) => !seen.has(one))
    return { pid, session: byPid.get(pid), waiters: below.map(treeOf) }
  }
  const holders = [...waiters.keys()]
  const trees = holders.filter(isFree).map(treeOf)
  // Those that are left wait for each other: a deadlock, which PostgreSQL ends after a second.
  for (const pid of holders) if (!seen.has(pid)) trees.push(treeOf(pid))
  return trees
}

/** @param {Tree} tree @param {string} platform @returns {boolean} */
function hasPlatform({ session, waiters }, platform) {
  return session?.platform === platform || waiters.some((one) => hasPlatform(one, platform))
}

/** @param {{ tree: Tree }} props @returns {any} */
function Waiter({ tree }) {
  const { pid, session, waiters } = tree
  return html`
    <li>
      ${
        session
          ? html`
            <p><strong>${pid}</strong> ${session.database} <span class="faint">${whoOf(session)}</span>: ${stateOf(session)}</p>
            ${session.query && html`<code class="query">${session.query}</code>`}`
          : html`<p>${pid === 0 ? 'A prepared transaction' : `${pid}, which is not seen`}</p>`
      }
      ${waiters.length > 0 && html`<ul>${waiters.map((one) => html`<${Waiter} key=${one.pid} tree=${one} />`)}</ul>`}
    </li>
  `
}

/** @param {any} session */
function whoOf({ user, application, is_gateway }) {
  return is_gateway ? `${user}, of a gateway` : `${user}, ${application ?? 'without a name'}`
}

/** @param {any} session */
function stateOf({ state, blocked_by, since_s, transaction_s }) {
  const parts = [
    blocked_by.length > 0
      ? `waits for a lock of ${namesText(blocked_by, MOST_NAMES)}`
      : (state ?? 'not seen'),
    since_s !== null && `for ${formatSeconds(since_s)}`,
    transaction_s !== null && `in a transaction of ${formatSeconds(transaction_s)}`,
  ]
  return parts.filter(Boolean).join(', ').replace(', for ', ' for ')
}
