import { useSignal } from '@preact/signals'
import { parametersOf, paramsText } from 'docs/parameters'
import { call } from '../calls.js'
import { Dialog } from '../components/dialog.js'
import { Check, Field } from '../components/field.js'
import { Loading, Notice } from '../components/notice.js'
import { html } from '../html.js'
import { useResource } from '../resource.js'
import { announce } from '../store.js'
import { CallAnswer } from './call-answer.js'
import { newValues, Parameters, readers } from './parameters.js'

/**
 * Calls a function: a form from what the platform's OpenAPI document says of it, or JSON.
 * @param {{ platform: string, tenant: string, name: string, onClose: () => void }} props
 */
export function TryOne({ platform, tenant, name, onClose }) {
  const where = useSignal(tenant)
  const asked = useSignal(tenant)
  const chosen = useSignal(name)
  const document = useResource('/openapi.json', { platform, tenant_id: asked.value })
  const operations = /** @type {[string, any][]} */ (
    Object.entries(document.data?.paths ?? {}).map(([path, { post }]) => [path.slice(6), post])
  )
  const found = operations.find(
    ([id, operation]) => id === chosen.value || nameOf(operation) === chosen.value,
  )
  return html`
    <${Dialog} title=${`Try a function of ${platform}`} side onClose=${onClose}>
      <form
        onSubmit=${(/** @type {Event} */ event) => {
          event.preventDefault()
          asked.value = where.value.trim()
        }}
      >
        <${Field} label="Tenant; empty is the main database" value=${where} />
        ${where.value.trim() !== asked.value && html`<p class="acts"><button>Use this tenant</button></p>`}
      </form>
      <${Loading} resource=${document} />
      ${
        document.data &&
        html`
          <label class="block">
            <span>Function</span>
            <select
              value=${found?.[0] ?? ''}
              onChange=${(/** @type {any} */ event) => {
                chosen.value = event.currentTarget.value
              }}
            >
              <option value="">choose one of ${operations.length}</option>
              ${operations.map(([id]) => html`<option value=${id}>${id}</option>`)}
            </select>
          </label>
          ${
            found &&
            html`<${CallForm}
              key=${`${asked.value} ${found[0]}`}
              owner=${{ platform, ...(asked.value !== '' && { tenant_id: asked.value }) }}
              operation=${found[1]}
              schemas=${document.data.components?.schemas ?? {}}
            />`
          }`
      }
    <//>
  `
}

/** @param {any} operation */
function nameOf(operation) {
  return operation.requestBody.content['application/json'].schema.properties.function.const
}

/** @param {{ owner: Record<string, string>, operation: any, schemas: import('docs/schema').Schemas }} props */
function CallForm({ owner, operation, schemas }) {
  const { parameters, isByName, isVariadic } = parametersOf(operation)
  const values = useSignal(newValues(parameters, schemas))
  const isJson = useSignal(false)
  const json = useSignal(isByName ? '{}' : '[]')
  const knows = useSignal(false)
  const state = useSignal(
    /** @type {{ isRunning: boolean, answer?: any, error?: any }} */ ({ isRunning: false }),
  )
  const { isRunning, answer, error } = state.value
  const doesWrite = operation['x-kind'] === 'procedure' || operation['x-volatility'] === 'volatile'
  const canCall = !isRunning && (!doesWrite || knows.value)

  /** @param {Event} event */
  const run = async (event) => {
    event.preventDefault()
    if (!canCall) return
    state.value = { isRunning: true }
    try {
      const params = isJson.value
        ? parsedJson(json.value)
        : paramsText(readers(values.value), { isByName, isVariadic })
      const answer = await call(owner, nameOf(operation), params)
      announce('The function has answered')
      state.value = { isRunning: false, answer }
    } catch (error) {
      state.value = { isRunning: false, error }
    }
  }
  return html`
    <form onSubmit=${run} aria-label=${`Call ${nameOf(operation)}`} novalidate>
      ${operation.description && html`<p>${operation.description}</p>`}
      ${
        doesWrite
          ? html`
            <div class="notice warn">
              <p><strong>It may write.</strong> It is not declared STABLE or IMMUTABLE: the call is a real one,
              and what it changes in the database stays changed.</p>
              <${Check} label="Call it all the same" value=${knows} />
            </div>`
          : html`<p class="faint">It is declared ${String(operation['x-volatility']).toUpperCase()}: it reads, and writes nothing.</p>`
      }
      <${Check} label="Parameters as JSON" value=${isJson} />
      ${
        isJson.value
          ? html`
            <label class="block">
              <span>Parameters: an object by name, or an array by position</span>
              <textarea rows="5" spellcheck=${false} value=${json.value} onInput=${(
                /** @type {any} */ event,
              ) => {
                json.value = event.currentTarget.value
              }}></textarea>
            </label>`
          : html`<${Parameters} values=${values} schemas=${schemas} />`
      }
      <p class="acts"><button class="main" disabled=${!canCall}>${isRunning ? 'Running…' : 'Call'}</button></p>
      ${error && html`<${Notice} error=${error} />`}
      ${answer && html`<${CallAnswer} answer=${answer} />`}
    </form>
  `
}

/** @param {string} text @returns {string} the same text @throws {Error} if it is not JSON */
function parsedJson(text) {
  try {
    JSON.parse(text)
  } catch (error) {
    throw new Error(`The parameters are not JSON: ${/** @type {Error} */ (error).message}`)
  }
  return text
}
