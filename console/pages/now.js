import { html } from '../html.js'

/** The page Now. */
export function Now() {
  return html`<h2>Now</h2>`
}
