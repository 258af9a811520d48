import { useSignal } from '@preact/signals'
import { useId } from 'preact/hooks'
import { html } from '../html.js'
import { useRun } from '../run.js'
import { Notice } from './notice.js'

/**
 * A button, which shows the error of what it does. Where the gateway cannot do what it says, it does nothing,
 * and `why` is read out and shown.
 * @param {object} props
 * @param {string} props.label
 * @param {() => unknown} props.onAct
 * @param {string | true} [props.can] true, or why not
 * @param {string} [props.kind] class: main, danger, quiet
 * @param {boolean} [props.short] why not is shown when the button is pressed, as in a row of a table
 */
export function Act({ label, onAct, can = true, kind = '', short = false }) {
  const id = useId()
  const isShown = useSignal(!short)
  const { isRunning, error, run } = useRun(onAct)
  if (can !== true) {
    const show = () => {
      isShown.value = true
    }
    return html`
      <span class="cannot">
        <button type="button" class=${kind} aria-disabled="true" aria-describedby=${id} title=${can} onClick=${show}>
          ${label}
        </button>
        <small id=${id} class=${isShown.value ? 'faint' : 'unseen'}>${can}</small>
      </span>
    `
  }
  return html`
    <button type="button" class=${kind} aria-busy=${isRunning ? 'true' : undefined} onClick=${run}>${label}</button>
    ${error && html`<${Notice} error=${error} />`}
  `
}

/**
 * Returns the first reason why something cannot be done; true if there is none.
 * @param {...(string | true | undefined)} abilities
 * @returns {string | true}
 */
export function firstReason(...abilities) {
  return abilities.find((one) => typeof one === 'string') ?? true
}
