import { useSignal } from '@preact/signals'
import { runDeploy, stopDeploy } from '../deploys.js'
import { html } from '../html.js'
import { announce } from '../store.js'
import { Act } from './act.js'
import { ArchiveChoice, Options } from './deploy-options.js'
import { Dialog } from './dialog.js'
import { formatMs, plural } from './format.js'
import { Notice } from './notice.js'
import { Plan } from './plan.js'

/**
 * Deploys: the archive, then the plan, then the deploy with its progress.
 * @param {object} props
 * @param {string} props.title
 * @param {'migrate' | 'revert'} [props.kind]
 * @param {Record<string, string>} props.owner of one database, or of a platform
 * @param {string} props.about where it deploys to, in words
 * @param {string} [props.checksum] kept archive that is chosen at first
 * @param {Record<string, string>} [props.fields] further fields of the request
 * @param {() => void} props.onClose
 */
export function DeployDialog({ title, kind = 'migrate', owner, about, checksum, fields, onClose }) {
  const chosen = useSignal(checksum ?? '')
  const allowed = useSignal(/** @type {string[]} */ ([]))
  const goesOn = useSignal(false)
  const label = useSignal(fields?.label ?? '')
  const file = useSignal(/** @type {File | null} */ (null))
  const state = useSignal(/** @type {State} */ ({ step: 'ask' }))
  const { step, progress, result, error, requestId } = state.value

  /** @param {boolean} isDryRun */
  const run = async (isDryRun) => {
    const requestId = `console-${crypto.getRandomValues(new Uint32Array(2)).join('-')}`
    const running = isDryRun ? 'planning' : 'running'
    state.value = { step: running, requestId }
    const isRevert = kind === 'revert'
    /** @type {import('../deploys.js').Deploy} */
    const deploy = {
      kind,
      owner,
      checksum: chosen.value,
      // A kept archive may have been chosen after a file.
      archive: (chosen.value === '' && file.value) || undefined,
      fields: {
        ...fields,
        ...(!isRevert && allowed.value.length > 0 && { allow: allowed.value.join(',') }),
        ...(goesOn.value && { on_error: 'continue' }),
        label: label.value.trim(),
      },
    }
    try {
      const result = await runDeploy(deploy, {
        isDryRun,
        requestId,
        onProgress: (progress) => {
          state.value = { step: running, requestId, progress }
        },
      })
      state.value = { step: isDryRun ? 'plan' : 'done', result }
      announce(isDryRun ? 'The plan is ready' : 'The deploy has ended')
    } catch (error) {
      state.value = { step: isDryRun ? 'ask' : 'failed', error, progress: state.value.progress }
    }
  }
  const isBusy = step === 'planning' || step === 'running'
  const canAsk = chosen.value !== '' || file.value !== null
  return html`
    <${Dialog} title=${title} onClose=${onClose} canClose=${!isBusy}>
      <p>${about}</p>
      ${
        step === 'ask' &&
        html`
          ${kind === 'migrate' && html`<${ArchiveChoice} platform=${owner.platform} chosen=${chosen} file=${file} />`}
          ${kind === 'revert' && html`<p>Archive <code>${checksum}</code>. Functions, views and triggers go back to it; tables and their rows stay.</p>`}
          <${Options} kind=${kind} isOne=${'tenant_id' in owner || 'uuid' in owner} allowed=${allowed} goesOn=${goesOn} label=${label} />
          ${error && html`<${Failure} error=${error} />`}
          <p class="acts">
            <button type="button" onClick=${onClose}>Cancel</button>
            <${Act}
              label="Show the plan"
              kind="main"
              onAct=${() => run(true)}
              can=${canAsk || 'Choose the file of an archive, or one that the gateway keeps'}
            />
          </p>
        `
      }
      ${isBusy && html`<${Running} what=${step === 'planning' ? 'Making the plan' : 'Deploying'} progress=${progress} platform=${owner.platform} requestId=${requestId} />`}
      ${
        step === 'plan' &&
        html`
          <h3>The plan</h3>
          <${Plan} plans=${result.plan ?? []} />
          <${Warnings} warnings=${result.warnings} />
          <p class="acts">
            <button type="button" onClick=${() => {
              state.value = { step: 'ask' }
            }}>Back</button>
            <button type="button" class="main" onClick=${() => run(false)}>${kind === 'revert' ? 'Revert' : 'Deploy'}</button>
          </p>
        `
      }
      ${
        step === 'done' &&
        html`
        <p class="done" role="status">Done in ${formatMs(result.execution_time_ms)}: ${plural(result.databases_updated.length, 'database')}.</p>
        <${Warnings} warnings=${result.warnings} />`
      }
      ${step === 'failed' && html`<${Failure} error=${error} />`}
      ${
        (step === 'done' || step === 'failed') &&
        html`
        <p class="acts"><button type="button" class="main" onClick=${onClose}>Close</button></p>`
      }
    <//>
  `
}

/**
 * @typedef {object} State
 * @property {'ask' | 'planning' | 'plan' | 'running' | 'done' | 'failed'} step
 * @property {string} [requestId]
 * @property {import('../deploys.js').Progress} [progress]
 * @property {any} [result]
 * @property {any} [error]
 */

/** @param {{ what: string, progress?: import('../deploys.js').Progress, platform: string, requestId?: string }} props */
function Running({ what, progress, platform, requestId = '' }) {
  const isStopping = useSignal(false)
  const stop = async () => {
    isStopping.value = true
    await stopDeploy(platform, requestId).catch(() => {
      isStopping.value = false
    })
  }
  const { done = 0, total = 0, running = [], failures = [] } = progress ?? {}
  return html`
    <p role="status">${what}: ${total > 0 ? `${done} of ${plural(total, 'database')}` : '…'}</p>
    <progress aria-label=${what} max=${total || undefined} value=${total ? done : undefined}></progress>
    ${running.length > 0 && html`<p class="faint">Now: ${running.join(', ')}</p>`}
    ${failures.map((one) => html`<${Notice} error=${{ ...one.error, database: one.database }} />`)}
    <p class="acts">
      <button type="button" disabled=${isStopping.value} onClick=${stop}>
        ${isStopping.value ? 'Stopping…' : 'Start no further database'}
      </button>
    </p>
  `
}

/** @param {{ warnings?: string[] }} props */
function Warnings({ warnings = [] }) {
  if (warnings.length === 0) return null
  return html`<ul>${warnings.map((text) => html`<li class="warn">${text}</li>`)}</ul>`
}

/** The error of a deploy, with those of its databases. @param {{ error: any }} props */
function Failure({ error }) {
  const failed = /** @type {any[]} */ (error.body?.failed ?? [])
  const others = failed.filter((one) => one.database !== error.body?.database)
  return html`
    <${Notice} error=${error} />
    ${others.slice(0, 20).map((one) => html`<${Notice} error=${one} />`)}
    ${others.length > 20 && html`<p class="faint">and ${others.length - 20} more</p>`}
  `
}
