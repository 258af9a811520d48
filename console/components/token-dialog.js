import { useSignal } from '@preact/signals'
import { giveToken } from '../api.js'
import { html } from '../html.js'
import { tokenAsked } from '../store.js'
import { Dialog } from './dialog.js'

/** Asks for the admin token, once the gateway has asked for it. */
export function TokenDialog() {
  const typed = useSignal('')
  if (tokenAsked.value === '') return null
  /** @param {Event} event */
  const give = (event) => {
    event.preventDefault()
    giveToken(typed.value.trim())
    typed.value = ''
  }
  return html`
    <${Dialog} title="The gateway asks for a token" canClose=${false}>
      <form onSubmit=${give}>
        <p>It is the value of the setting ADMIN_TOKEN. This page keeps it until it is closed.</p>
        ${tokenAsked.value === 'wrong' && html`<p class="failed" role="alert">The token is not right.</p>`}
        <label class="block">
          <span>Admin token</span>
          <input
            type="password"
            autocomplete="off"
            spellcheck=${false}
            required
            autofocus
            value=${typed.value}
            onInput=${(/** @type {any} */ event) => {
              typed.value = event.currentTarget.value
            }}
          />
        </label>
        <p class="acts"><button class="main">Use</button></p>
      </form>
    <//>
  `
}
