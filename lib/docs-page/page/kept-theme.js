const KEY = 'db-gateway-theme'

/** Applies the theme that this browser keeps. @returns {'' | 'light' | 'dark'} '' is that of the system */
export function applyKeptTheme() {
  const theme = read()
  apply(theme)
  return theme
}

/** Applies a theme, and keeps it in this browser. @param {string} theme */
export function chooseTheme(theme) {
  apply(theme)
  try {
    localStorage.setItem(KEY, theme)
  } catch {
    // A browser that keeps nothing: the choice lasts as long as the page.
  }
}

/** @param {string} theme */
function apply(theme) {
  document.documentElement.dataset.theme = theme
}

function read() {
  try {
    const theme = localStorage.getItem(KEY)
    return theme === 'light' || theme === 'dark' ? theme : ''
  } catch {
    return ''
  }
}
