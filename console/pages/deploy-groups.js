/**
 * The deploys of one request.
 * @typedef {object} DeployGroup
 * @property {string} request id of the request
 * @property {string} at time of the last of them
 * @property {string} archive checksum
 * @property {any[]} rows as /admin/deployments has them
 * @property {any[]} failed those that failed
 * @property {string[]} migrations that were applied somewhere
 * @property {number} longestMs
 */

/**
 * Puts the deploys of a request together, the newest request first.
 * @param {any[]} rows newest first
 * @returns {DeployGroup[]}
 */
export function groupDeploys(rows) {
  /** @type {Map<string, DeployGroup>} */
  const groups = new Map()
  for (const row of rows) {
    /** @type {DeployGroup} */
    const group = groups.get(row.request_id) ?? {
      request: row.request_id,
      at: row.deployed_at,
      archive: row.archive_checksum,
      rows: [],
      failed: [],
      migrations: [],
      longestMs: 0,
    }
    groups.set(row.request_id, group)
    group.rows.push(row)
    if (row.status === 'failed') group.failed.push(row)
    group.longestMs = Math.max(group.longestMs, row.execution_time_ms ?? 0)
    for (const name of row.migrations_applied ?? []) {
      if (!group.migrations.includes(name)) group.migrations.push(name)
    }
  }
  return [...groups.values()]
}
