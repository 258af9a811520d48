import { token, tokenAsked } from './store.js'

/** An answer that is an error, or no answer: status 0. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {Record<string, any>} body of the answer
   */
  constructor(status, body) {
    super(body.message ?? `The gateway answers ${status}`)
    this.status = status
    /** The code: 'invalid_request'. */
    this.code = String(body.error ?? '')
    this.body = body
  }
}

/** Milliseconds within which a question is answered. */
const ANSWER_WITHIN = 20_000

/** @type {Set<() => void>} requests that wait for a token */
const waiting = new Set()

/**
 * Gives the token that the gateway asked for, and sends the requests that wait for it.
 * @param {string} text
 */
export function giveToken(text) {
  token.value = text
  tokenAsked.value = ''
  for (const resume of waiting) resume()
  waiting.clear()
}

/**
 * Sends a request with the token. Where the gateway asks for a token, waits until one is given.
 * @param {string} path
 * @param {RequestInit & { withinMs?: number }} [options] withinMs: the whole answer has to come in that time
 * @returns {Promise<Response>} of a status below 400
 * @throws {ApiError}
 */
export async function send(path, { withinMs, ...init } = {}) {
  for (;;) {
    const used = token.value
    const headers = new Headers(init.headers)
    if (used !== '') headers.set('authorization', `Bearer ${used}`)
    const signal = limited(init.signal, withinMs)
    let response
    try {
      response = await fetch(path, { ...init, signal, headers, credentials: 'omit' })
    } catch (error) {
      if (init.signal?.aborted) throw error
      throw noAnswer(error)
    }
    if (response.status < 400) return response
    if (response.status !== 401) throw new ApiError(response.status, await errorOf(response))
    await response.body?.cancel()
    // Another request may have been refused with the token that was wrong before.
    if (used !== token.value) continue
    tokenAsked.value = used === '' ? 'none' : 'wrong'
    await new Promise((resolve) => waiting.add(() => resolve(undefined)))
  }
}

/** @param {AbortSignal | null | undefined} signal @param {number | undefined} withinMs */
function limited(signal, withinMs) {
  if (withinMs === undefined) return signal ?? null
  const limit = AbortSignal.timeout(withinMs)
  return signal ? AbortSignal.any([signal, limit]) : limit
}

/** @param {unknown} error of a request or of its answer */
function noAnswer(error) {
  const isLate = error instanceof DOMException && error.name === 'TimeoutError'
  const within = isLate ? ' in the time that this page waits' : ''
  return new ApiError(0, { message: `The gateway does not answer${within}` })
}

/** @param {Response} response @returns {Promise<Record<string, any>>} */
async function errorOf(response) {
  const text = await response.text()
  try {
    return JSON.parse(text)
  } catch {
    return { message: `${response.status}: ${text.slice(0, 200)}` }
  }
}

/**
 * Asks for JSON. Parameters without a value are left out.
 * @param {string} path
 * @param {Record<string, string | number | undefined>} [query]
 * @param {{ signal?: AbortSignal, withinMs?: number }} [options] withinMs: time in which it is answered
 * @returns {Promise<any>}
 */
export async function get(path, query = {}, { signal, withinMs = ANSWER_WITHIN } = {}) {
  const response = await send(path + queryOf(query), { signal, withinMs })
  try {
    return await response.json()
  } catch (error) {
    if (signal?.aborted) throw error
    throw noAnswer(error)
  }
}

/** @param {Record<string, string | number | undefined>} query */
export function queryOf(query) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '')
  if (given.length === 0) return ''
  return `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`
}

/**
 * Sends JSON.
 * @param {string} path
 * @param {unknown} body
 * @returns {Promise<any>}
 */
export async function post(path, body) {
  const headers = { 'content-type': 'application/json' }
  return (await send(path, { method: 'POST', headers, body: JSON.stringify(body) })).json()
}

/**
 * Reads the lines of an answer as they come.
 * @param {Response} response
 * @param {(line: string) => void} onLine
 */
export async function readLines(response, onLine) {
  if (!response.body) return
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    const lines = (rest + value).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) onLine(line)
  }
  if (rest !== '') onLine(rest)
}
