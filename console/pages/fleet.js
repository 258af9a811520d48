import { html } from '../html.js'

/** The page Fleet. */
export function Fleet() {
  return html`<h2>Fleet</h2>`
}
