import { useSignal } from '@preact/signals'
import { useId } from 'preact/hooks'
import { html } from '../html.js'

/**
 * A button. Where the gateway cannot do what it says, it does nothing, and `why` is read out and shown.
 * @param {object} props
 * @param {string} props.label
 * @param {() => void} props.onAct
 * @param {string | true} [props.can] true, or why not
 * @param {string} [props.kind] class: main, danger, quiet
 * @param {boolean} [props.short] why not is shown when the button is pressed, as in a row of a table
 */
export function Act({ label, onAct, can = true, kind = '', short = false }) {
  const id = useId()
  const isShown = useSignal(!short)
  if (can === true) {
    return html`<button type="button" class=${kind} onClick=${onAct}>${label}</button>`
  }
  return html`
    <span class="cannot">
      <button type="button" class=${kind} aria-disabled="true"
        onClick=${() => {
          isShown.value = true
        }} aria-describedby=${id} title=${can}>
        ${label}
      </button>
      <small id=${id} class=${isShown.value ? 'faint' : 'unseen'}>${can}</small>
    </span>
  `
}
