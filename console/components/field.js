import { html } from '../html.js'

/**
 * A field for a text, with its label.
 * @param {object} props
 * @param {any} props.label
 * @param {import('@preact/signals').Signal<string>} props.value
 * @param {string} [props.placeholder]
 * @param {string} [props.type] of the input
 * @param {boolean} [props.required]
 */
export function Field({ label, value, placeholder = '', type = 'text', required = false }) {
  return html`
    <label class="block">
      <span>${label}</span>
      <input
        type=${type}
        autocomplete="off"
        spellcheck=${false}
        required=${required}
        placeholder=${placeholder}
        value=${value.value}
        onInput=${(/** @type {any} */ event) => {
          value.value = event.currentTarget.value
        }}
      />
    </label>
  `
}

/**
 * A box to tick.
 * @param {object} props
 * @param {any} props.label
 * @param {import('@preact/signals').Signal<boolean>} props.value
 * @param {string | true} [props.can] true, or why it cannot be ticked
 */
export function Check({ label, value, can = true }) {
  return html`
    <label class="check">
      <input
        type="checkbox"
        checked=${can === true && value.value}
        disabled=${can !== true}
        onChange=${(/** @type {any} */ event) => {
          value.value = event.currentTarget.checked
        }}
      />
      <span>${label}${can !== true && html`<br /><small class="faint">${can}</small>`}</span>
    </label>
  `
}
