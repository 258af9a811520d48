/**
 * @typedef {object} Answer
 * @property {number} status 0 where no answer came
 * @property {string} text
 * @property {number} ms time until the answer was complete
 * @property {string} requestId
 */

/**
 * Sends a request to the gateway. Never throws: a lost connection is an answer with status 0.
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<Answer>}
 */
export async function ask(path, init) {
  const startedAt = performance.now()
  try {
    const response = await fetch(path, { ...init, credentials: 'omit' })
    const text = await response.text()
    const ms = Math.round(performance.now() - startedAt)
    return {
      status: response.status,
      text,
      ms,
      requestId: response.headers.get('x-request-id') ?? '',
    }
  } catch (error) {
    return { status: 0, text: String(error), ms: 0, requestId: '' }
  }
}

/** A text, or a number, of JSON. Not every browser tells a reviver what stood in the text. */
const TEXT_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/g

/**
 * Parses JSON without losing digits: a number that JavaScript would write otherwise is its text.
 * @param {string} text
 * @returns {any} undefined if the text is not JSON
 */
export function parseExactly(text) {
  /** @param {string} one */
  const exact = (one) =>
    one.startsWith('"') || String(Number(one)) === one ? one : JSON.stringify(one)
  try {
    return JSON.parse(text.replace(TEXT_OR_NUMBER, exact))
  } catch {
    return undefined
  }
}

/**
 * Returns what an answer that is an error says.
 * @param {Answer} answer
 */
export function errorText({ status, text }) {
  if (status === 0) return `The gateway does not answer: ${text}`
  const body = parseExactly(text)
  return body?.message
    ? `${body.message} (${status} ${body.error})`
    : `${status}: ${text.slice(0, 200)}`
}
