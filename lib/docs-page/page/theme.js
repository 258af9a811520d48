import { byId } from './dom.js'
import { applyKeptTheme, chooseTheme } from './kept-theme.js'

/** Applies the chosen theme, and keeps each choice in this browser. */
export function startTheme() {
  /** @type {HTMLSelectElement} */
  const select = byId('theme')
  select.value = applyKeptTheme()
  select.addEventListener('change', () => chooseTheme(select.value))
}
