import { html } from '../html.js'

/** The page Functions. */
export function Functions() {
  return html`<h2>Functions</h2>`
}
