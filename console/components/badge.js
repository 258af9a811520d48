import { html } from '../html.js'

/** States, with the colour and the sign that each has: colour alone says nothing. */
const KINDS = {
  synced: ['good', '✓'],
  completed: ['good', '✓'],
  done: ['good', '✓'],
  active: ['good', '✓'],
  pending: ['warn', '◷'],
  running: ['warn', '◷'],
  drifted: ['warn', '≠'],
  suspended: ['faint', '⏸'],
  failed: ['bad', '✕'],
  missing: ['bad', '?'],
}

/**
 * A state as a word with a sign.
 * @param {{ state: string, title?: string, count?: number }} props
 */
export function Badge({ state, title, count }) {
  const [kind, sign] = KINDS[/** @type {keyof typeof KINDS} */ (state)] ?? ['faint', '·']
  return html`
    <span class=${`badge ${kind}`} title=${title}>
      <span aria-hidden="true">${sign}</span> ${state}${count === undefined ? '' : ` ${count}`}
    </span>
  `
}
