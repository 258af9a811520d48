import { useSignal } from '@preact/signals'
import { useEffect, useId, useRef } from 'preact/hooks'
import { html } from '../html.js'
import { useRun } from '../run.js'
import { Field } from './field.js'
import { Notice } from './notice.js'

/**
 * A modal dialog, shown as long as it is rendered. Escape and its button close it.
 * @param {{ title: string, children?: any, onClose?: () => void, canClose?: boolean, side?: boolean }} props
 *   side: along the right edge, for much to read
 */
export function Dialog({ title, children, onClose, canClose = true, side = false }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null))
  const id = useId()
  useEffect(() => {
    const { activeElement } = document
    element.current?.showModal()
    return () => {
      element.current?.close()
      if (activeElement instanceof HTMLElement) activeElement.focus()
    }
  }, [])
  /** @param {Event} event */
  const cancel = (event) => {
    event.preventDefault()
    if (canClose) onClose?.()
  }
  /** Without this, a browser closes at the second Escape. @param {KeyboardEvent} event */
  const keep = (event) => {
    if (event.key !== 'Escape') return
    // A dialog may be in another one.
    event.stopPropagation()
    cancel(event)
  }
  return html`
    <dialog
      ref=${element}
      class=${side ? 'side' : ''}
      aria-labelledby=${id}
      onCancel=${cancel}
      onKeyDown=${keep}
    >
      <div class="dialog-head">
        <h2 id=${id}>${title}</h2>
        ${canClose && html`<button type="button" class="quiet" aria-label="Close" onClick=${onClose}>✕</button>`}
      </div>
      ${children}
    </dialog>
  `
}

/**
 * Asks before something is done. The button is ready once `confirm` is typed, where one is given; the dialog
 * stays open with the error where the act fails.
 * @param {object} props
 * @param {string} props.title
 * @param {string} props.act text of the button
 * @param {() => Promise<unknown>} props.onAct
 * @param {() => void} props.onClose also called after the act
 * @param {any} [props.children] what it will do
 * @param {string} [props.confirm] to be typed: the name of what is lost
 * @param {boolean} [props.isDanger]
 * @param {boolean} [props.isReady] false: what it needs is not given yet
 */
export function ActDialog(props) {
  const { title, act, onAct, onClose, children, confirm, isDanger = false, isReady = true } = props
  const typed = useSignal('')
  const { isRunning, error, run } = useRun(async () => {
    await onAct()
    onClose()
  })
  const canAct = isReady && !isRunning && (confirm === undefined || typed.value === confirm)
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault()
    if (canAct) run()
  }
  return html`
    <${Dialog} title=${title} onClose=${onClose} canClose=${!isRunning}>
      <form onSubmit=${submit}>
        ${children}
        ${
          confirm !== undefined &&
          html`<${Field} label=${html`Type <code>${confirm}</code> to confirm`} value=${typed} />`
        }
        ${error && html`<${Notice} error=${error} />`}
        <p class="acts">
          <button type="button" onClick=${onClose} disabled=${isRunning}>Cancel</button>
          <button class=${isDanger ? 'danger' : 'main'} disabled=${!canAct}>
            ${isRunning ? 'Running…' : act}
          </button>
        </p>
      </form>
    <//>
  `
}
