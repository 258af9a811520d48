import { html } from '../html.js'

/** The page Audit. */
export function Audit() {
  return html`<h2>Audit</h2>`
}
