import { html } from '../html.js'

/** The page Deploys. */
export function Deploys() {
  return html`<h2>Deploys</h2>`
}
