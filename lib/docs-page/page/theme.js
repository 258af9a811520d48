import { byId } from './dom.js'

const KEY = 'db-gateway-theme'

/** Applies the chosen theme, and keeps each choice in this browser. */
export function startTheme() {
  /** @type {HTMLSelectElement} */
  const select = byId('theme')
  select.value = read()
  const apply = () => {
    document.documentElement.dataset.theme = select.value
  }
  apply()
  select.addEventListener('change', () => {
    apply()
    try {
      localStorage.setItem(KEY, select.value)
    } catch {
      // A browser that keeps nothing: the choice lasts as long as the page.
    }
  })
}

function read() {
  try {
    const theme = localStorage.getItem(KEY)
    return theme === 'light' || theme === 'dark' ? theme : ''
  } catch {
    return ''
  }
}
