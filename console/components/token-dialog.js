import { useSignal } from '@preact/signals'
import { giveToken } from '../api.js'
import { html } from '../html.js'
import { tokenAsked } from '../store.js'
import { Dialog } from './dialog.js'

/** Asks for the admin token, once the gateway has asked for it. */
export function TokenDialog() {
  const typed = useSignal('')
  const problem = useSignal('')
  if (tokenAsked.value === '') return null
  /** @param {Event} event */
  const give = (event) => {
    event.preventDefault()
    const text = typed.value.trim()
    // A header has no other characters: the browser would refuse to send each request.
    const odd = text.match(/[^\x21-\x7e]/u)?.[0]
    problem.value = odd === undefined ? '' : problemOf(odd)
    if (odd !== undefined) return
    giveToken(text)
    typed.value = ''
  }
  return html`
    <${Dialog} title="The gateway asks for a token" canClose=${false}>
      <form onSubmit=${give}>
        <p>It is the value of the setting ADMIN_TOKEN. This page keeps it until it is closed.</p>
        ${problem.value !== '' && html`<p class="failed" role="alert">${problem.value}</p>`}
        ${tokenAsked.value === 'wrong' && problem.value === '' && html`<p class="failed" role="alert">The token is not right.</p>`}
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

/** @param {string} odd a character that no token has */
function problemOf(odd) {
  const code = /** @type {number} */ (odd.codePointAt(0))
    .toString(16)
    .toUpperCase()
    .padStart(4, '0')
  const shown = /[\p{L}\p{N}\p{P}\p{S}]/u.test(odd) ? `"${odd}" (U+${code})` : `U+${code}`
  return `A token has letters, digits and signs of ASCII, without blanks; this one has ${shown}, perhaps pasted with it.`
}
