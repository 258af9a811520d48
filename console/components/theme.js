import { signal } from '@preact/signals'
import { applyKeptTheme, chooseTheme } from 'docs/kept-theme'
import { html } from '../html.js'

const theme = signal(/** @type {string} */ (applyKeptTheme()))

/** Light, dark, or what the system says; the choice is kept in this browser. */
export function ThemeChoice() {
  return html`
    <label class="inline">
      <span class="unseen">Theme</span>
      <select value=${theme.value} onChange=${choose}>
        <option value="">system</option>
        <option value="light">light</option>
        <option value="dark">dark</option>
      </select>
    </label>
  `
}

/** @param {any} event */
function choose(event) {
  theme.value = event.currentTarget.value
  chooseTheme(theme.value)
}
