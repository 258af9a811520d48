import { ApiError, post, readLines, send } from './api.js'
import { ownerOf } from './owner.js'

/** Why nothing can be moved where `servers` of the fleet is undefined. */
export const ONE_SERVER = 'There is one PostgreSQL server alone: SERVERS names no other'

/**
 * Moves a database to another server.
 * @param {import('./owner.js').Named} row
 * @param {{ to: string, how: string, hold: boolean }} asked
 * @param {(line: any) => void} onStep called with a line for each step
 * @returns {Promise<any>} the answer of /admin/move-tenant
 * @throws {ApiError}
 */
export async function runMove(row, { to, how, hold }, onStep) {
  const response = await send('/admin/move-tenant', {
    method: 'POST',
    headers: { accept: 'application/x-ndjson', 'content-type': 'application/json' },
    body: JSON.stringify({ ...ownerOf(row), to, how, hold }),
  })
  /** @type {any} */
  let last = {}
  await readLines(response, (line) => {
    last = JSON.parse(line)
    if (last.step) onStep(last)
  })
  if (last.status === 'moved') return last
  if (typeof last.error === 'string') throw new ApiError(response.status, last)
  throw new ApiError(0, {
    message: 'The answer ended before the move did. The move may go on, or be undone.',
  })
}

/** Gives a move up. @param {import('./owner.js').Named} row */
export function stopMove(row) {
  return post('/admin/move-tenant', { ...ownerOf(row), stop: true })
}
