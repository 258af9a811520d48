import { html } from '../html.js'

const KINDS = /** @type {Record<string, string>} */ ({ '+': 'added', '-': 'removed', '@': 'place' })

/**
 * A unified diff. Its signs stay in the text, so that colour alone says nothing.
 * @param {{ text: string, label: string }} props
 */
export function Diff({ text, label }) {
  const lines = text.replace(/\n$/, '').split('\n')
  return html`
    <pre class="diff" tabindex="0" role="region" aria-label=${label}>${lines.map(
      (line) => html`<span class=${KINDS[line[0] ?? ''] ?? ''}>${line}${'\n'}</span>`,
    )}</pre>
  `
}
