import { formatMs, plural } from '../components/format.js'
import { html } from '../html.js'

/** Rows of the table; the JSON below it has them all. */
const MOST_ROWS = 200

/** Characters of the JSON: a browser is slow with more. */
const MOST_TEXT = 200_000

/** What a function answered. @param {{ answer: import('../calls.js').Answered }} props */
export function CallAnswer({ answer }) {
  const { rows, text, ms, requestId } = answer
  const names = Object.keys(rows[0] ?? {})
  const more = rows.length > MOST_ROWS ? `; the first ${MOST_ROWS} are shown` : ''
  return html`
    <section aria-label="Answer">
      <p class="done" role="status">${plural(rows.length, 'row')} in ${formatMs(ms)}${more}</p>
      <p class="faint">Request <code>${requestId}</code></p>
      ${
        names.length > 0 &&
        html`
          <div class="scroll" tabindex="0" role="region" aria-label="Rows">
            <table class="plain">
              <thead><tr>${names.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
              <tbody>
                ${rows.slice(0, MOST_ROWS).map((row) => html`<tr>${names.map((name) => html`<td>${textOf(row[name])}</td>`)}</tr>`)}
              </tbody>
            </table>
          </div>`
      }
      <details>
        <summary>JSON</summary>
        <pre tabindex="0" role="region" aria-label="JSON">${text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}…` : text}</pre>
      </details>
    </section>
  `
}

/** @param {unknown} value */
function textOf(value) {
  if (value === null) return html`<span class="faint">null</span>`
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
