import { html } from '../html.js'

/**
 * A choice of one value, or of any.
 * @param {object} props
 * @param {string} props.label
 * @param {string | undefined} props.value '' is any
 * @param {(string | [string, string])[]} props.choices values, or values with their texts
 * @param {(value: string) => void} props.onChoose
 * @param {string} [props.any] text of no value; '' leaves it out
 */
export function Choice({ label, value = '', choices, onChoose, any = 'any' }) {
  const pairs = choices.map((one) =>
    typeof one === 'string' ? [one, one.replaceAll('_', ' ')] : one,
  )
  if (value !== '' && !pairs.some(([one]) => one === value)) pairs.push([value, value])
  return html`
    <label class="inline">
      <span>${label}</span>
      <select value=${value} onChange=${(/** @type {any} */ event) => onChoose(event.currentTarget.value)}>
        ${any !== '' && html`<option value="">${any}</option>`}
        ${pairs.map(([one, text]) => html`<option value=${one}>${text}</option>`)}
      </select>
    </label>
  `
}
