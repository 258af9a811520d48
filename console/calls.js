import { parseExactly } from 'docs/requests'
import { send } from './api.js'

/**
 * What a call answered.
 * @typedef {object} Answered
 * @property {any[]} rows
 * @property {string} text the answer as it came
 * @property {number} ms until it was complete
 * @property {string} requestId
 */

/**
 * Calls a function. Digits of the parameters and of the answer stay as they are written.
 * @param {Record<string, string>} owner members that name the database
 * @param {string} name
 * @param {string} params JSON
 * @returns {Promise<Answered>}
 * @throws {import('./api.js').ApiError}
 */
export async function call(owner, name, params) {
  const members = JSON.stringify({ ...owner, function: name })
  const startedAt = performance.now()
  const response = await send('/call', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: `${members.slice(0, -1)},"params":${params}}`,
  })
  const text = await response.text()
  const ms = performance.now() - startedAt
  const requestId = response.headers.get('x-request-id') ?? ''
  return { rows: parseExactly(text)?.rows ?? [], text, ms, requestId }
}
