import { signal } from '@preact/signals'
import { html } from '../html.js'

const KEY = 'db-gateway-theme'

const theme = signal(read())
apply(theme.value)

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
  apply(theme.value)
  try {
    localStorage.setItem(KEY, theme.value)
  } catch {
    // A browser that keeps nothing: the choice lasts as long as the page.
  }
}

/** @param {string} value */
function apply(value) {
  document.documentElement.dataset.theme = value
}

function read() {
  try {
    const kept = localStorage.getItem(KEY)
    return kept === 'light' || kept === 'dark' ? kept : ''
  } catch {
    return ''
  }
}
