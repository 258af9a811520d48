import { fill, h, table } from './dom.js'
import { parseExactly } from './requests.js'

/** Rows of the table; the JSON below it has them all. */
const MOST_ROWS = 200

/** Characters of the JSON: a browser is slow with more. */
const MOST_TEXT = 200_000

/**
 * Shows an answer: its rows as a table or what the error says, the JSON, and the request for curl.
 * @param {HTMLElement} output
 * @param {import('./requests.js').Answer} answer
 * @param {string} body of the request
 */
export function showAnswer(output, answer, body) {
  const { status, text, ms, requestId } = answer
  const parsed = parseExactly(text)
  const isDone = status === 200
  const head = status === 0 ? `No answer: ${text}` : `${status} in ${ms} ms, request ${requestId}`
  fill(
    output,
    h('p', { class: isDone ? 'done' : 'failed' }, head),
    ...(isDone ? rowsOf(parsed?.rows ?? []) : errorOf(parsed)),
    fold('JSON', text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}…` : text),
    fold('curl', curlOf(body)),
  )
}

/**
 * @param {Record<string, unknown>[]} rows
 * @returns {import('./dom.js').Child[]}
 */
function rowsOf(rows) {
  const count = `${rows.length} ${rows.length === 1 ? 'row' : 'rows'}`
  const names = Object.keys(rows[0] ?? {})
  const shown = rows.slice(0, MOST_ROWS)
  const cells = shown.map((row) => names.map((name) => cellOf(row[name])))
  return [
    h('p', {}, rows.length > MOST_ROWS ? `${count}; the first ${MOST_ROWS} are shown` : count),
    names.length > 0 && table(names, cells),
  ]
}

/** @param {unknown} value */
function cellOf(value) {
  if (value === null) return h('span', { class: 'null' }, 'null')
  return typeof value === 'object' ? h('code', {}, JSON.stringify(value)) : String(value)
}

/**
 * @param {Record<string, unknown> | undefined} error
 * @returns {import('./dom.js').Child[]}
 */
function errorOf(error) {
  if (!error) return []
  const rows = Object.entries(error).map(([name, value]) => [h('code', {}, name), cellOf(value)])
  return [table(['member', 'value'], rows)]
}

/**
 * @param {string} name
 * @param {string} text
 */
function fold(name, text) {
  return h('details', { class: 'fold' }, h('summary', {}, name), h('pre', { tabindex: 0 }, text))
}

/**
 * Writes the request for a POSIX shell.
 * @param {string} body
 */
export function curlOf(body) {
  const quoted = `'${body.replaceAll("'", "'\\''")}'`
  return `curl -sS ${location.origin}/call -H 'content-type: application/json' -d ${quoted}`
}
