import { html } from '../html.js'

/** Members of an error that are shown apart, or say nothing to a person. */
const APART = new Set([
  ...['error', 'code', 'message', 'file', 'line', 'source', 'caret', 'cause', 'hint', 'detail'],
  ...['status', 'migrations_applied', 'functions_updated', 'execution_time_ms'],
])

/**
 * An error with all that the gateway says of it: file, line and caret too.
 * @param {{ error: any }} props an ApiError, or the body of an error
 */
export function Notice({ error }) {
  const body = error?.body ?? error ?? {}
  const message = body.message ?? error?.message ?? String(error)
  const place = body.file ? `${body.file}${body.line ? `:${body.line}` : ''}` : ''
  const cause = causeOf(body)
  const more = Object.entries(body).filter(
    ([name, value]) => !APART.has(name) && (typeof value === 'string' || typeof value === 'number'),
  )
  return html`
    <div class="notice" role="alert">
      <p><strong>${message}</strong> ${(body.error ?? body.code) && html`<code>${body.error ?? body.code}</code>`}</p>
      ${cause && html`<p>${cause}</p>`}
      ${place && html`<p><code>${place}</code></p>`}
      ${body.source && html`<pre tabindex="0" role="region" aria-label="Source">${body.source}${body.caret ? `\n${body.caret}` : ''}</pre>`}
      ${body.detail && html`<p>${body.detail}</p>`}
      ${body.hint && html`<p>Hint: ${body.hint}</p>`}
      ${
        more.length > 0 &&
        html`<dl>${more.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`
      }
    </div>
  `
}

/**
 * The cause, without the detail and hint of PostgreSQL, which end it and are shown apart.
 * @param {any} body
 */
function causeOf({ cause, detail, hint }) {
  if (typeof cause !== 'string') return cause
  return cause.replace(` | DETAIL: ${detail}`, '').replace(` | HINT: ${hint}`, '')
}

/**
 * What is shown of a resource before its first answer, and where it failed.
 * @param {{ resource: import('../resource.js').Resource }} props
 */
export function Loading({ resource }) {
  if (resource.error) {
    return html`
      <${Notice} error=${resource.error} />
      <p><button type="button" onClick=${resource.reload}>Try again</button></p>
    `
  }
  return resource.data === null ? html`<p class="faint" role="status">Loading…</p>` : null
}

/**
 * The PostgreSQL servers that have not answered, whose databases are missing in what is shown.
 * @param {{ servers?: string[] }} props undefined without SERVERS
 */
export function Away({ servers = [] }) {
  if (servers.length === 0) return null
  const names = servers.join(', ')
  return html`<p class="notice warn">No answer of the PostgreSQL ${servers.length === 1 ? 'server' : 'servers'} ${names}: the databases there are not shown, and get no answers.</p>`
}
