import { ApiError, get, readLines, send } from './api.js'

/**
 * What is to be deployed, and where.
 * @typedef {object} Deploy
 * @property {'migrate' | 'revert'} kind
 * @property {Record<string, string>} owner members that name one database, or a platform
 * @property {string} [checksum] of a kept archive
 * @property {Blob} [archive] instead of a kept one
 * @property {Record<string, string>} [fields] further fields of the request: only, label, allow
 */

/**
 * How far it is.
 * @typedef {object} Progress
 * @property {number} done
 * @property {number} total
 * @property {string[]} running names of databases
 * @property {any[]} failures entries of databases
 */

/**
 * Runs a deploy, or says its plan.
 * @param {Deploy} deploy
 * @param {{ isDryRun: boolean, requestId: string, onProgress: (progress: Progress) => void }} options
 * @returns {Promise<any>} the answer of /migrate or /admin/revert
 * @throws {ApiError}
 */
export async function runDeploy(deploy, { isDryRun, requestId, onProgress }) {
  const { owner, checksum = '', fields = {} } = deploy
  const all = { ...owner, ...fields, progress: 'true', dry_run: String(isDryRun) }
  const headers = { accept: 'application/x-ndjson', 'x-request-id': requestId }
  const isRevert = deploy.kind === 'revert'
  const response = isRevert
    ? await send('/admin/revert', {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify({ ...all, progress: true, dry_run: isDryRun, checksum }),
      })
    : await send('/migrate', {
        method: 'POST',
        headers,
        body: formOf(all, deploy.archive ?? (await keptArchive(owner.platform ?? '', checksum))),
      })
  const progress = {
    done: 0,
    total: 0,
    running: /** @type {string[]} */ ([]),
    failures: /** @type {any[]} */ ([]),
  }
  let last = ''
  await readLines(response, (line) => {
    last = line
    const read = JSON.parse(line)
    if (read.total !== undefined && read.databases) {
      Object.assign(progress, { done: read.done, total: read.total, running: read.databases })
    } else if (read.database && read.status === 'failed') {
      progress.failures = [...progress.failures, read]
    } else return
    onProgress({ ...progress })
  })
  const end = last === '' ? {} : JSON.parse(last)
  if (Array.isArray(end.databases_updated) && typeof end.error !== 'string') return end
  if (typeof end.error === 'string') throw new ApiError(response.status, end)
  throw new ApiError(0, {
    message: 'The answer ended before the deploy did. The deploy may go on.',
  })
}

/** @param {Record<string, string>} fields @param {Blob} archive */
function formOf(fields, archive) {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) if (value !== '') form.set(name, value)
  // An empty id is the main database, and a missing one is all of them.
  if (fields.tenant_id === '') form.set('tenant_id', '')
  form.set('schema', archive, 'schema.tar.gz')
  return form
}

/** @param {string} platform @param {string} checksum @returns {Promise<Blob>} */
export async function keptArchive(platform, checksum) {
  const query = new URLSearchParams({ platform })
  return (await send(`/admin/archives/${encodeURIComponent(checksum)}?${query}`)).blob()
}

/**
 * Has a deploy start no further database.
 * @param {string} platform
 * @param {string} requestId
 */
export async function stopDeploy(platform, requestId) {
  await send('/migrate/stop', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ platform, request_id: requestId }),
  })
}

/**
 * Returns the archives of a platform that are kept, newest first.
 * @param {string} platform
 * @returns {Promise<{ checksum: string, last_deployed_at: string, size_bytes: number | null, databases: number }[]>}
 */
export async function keptArchives(platform) {
  const { archives } = await get('/admin/archives', { platform })
  return archives.filter((/** @type {any} */ one) => one.size_bytes !== null)
}

/**
 * Puts databases with the same plan together, the most frequent plan first.
 * @param {any[]} plans of a dry run
 * @returns {{ plan: any, databases: string[] }[]}
 */
export function groupPlans(plans) {
  /** @type {Map<string, { plan: any, databases: string[] }>} */
  const groups = new Map()
  for (const { database, execution_time_ms: _, ...plan } of plans) {
    const key = JSON.stringify(plan)
    const group = groups.get(key) ?? { plan, databases: [] }
    group.databases.push(database)
    groups.set(key, group)
  }
  return [...groups.values()].sort((one, other) => other.databases.length - one.databases.length)
}
