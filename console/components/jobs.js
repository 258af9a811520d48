import { html } from '../html.js'
import { runningJobs } from '../jobs.js'
import { platform } from '../store.js'
import { plural } from './format.js'

/** The deploys that run now, of the platform chosen, or of all. */
export function RunningJobs() {
  const chosen = platform.value
  const jobs = runningJobs.value.filter((one) => chosen === '' || one.platform === chosen)
  if (jobs.length === 0) return null
  return html`
    <section class="notice warn" aria-label="Deploys that run">
      ${jobs.map(({ id, platform, done, total, running = [], failures = [] }) => {
        const what = `${platform}: ${done} of ${plural(total, 'database')}`
        return html`
          <p key=${id}>
            ${what}${failures.length > 0 ? `, ${plural(failures.length, 'failure')}` : ''}
            <span class="faint"> ${running.slice(0, 4).join(', ')}</span>
          </p>
          <progress aria-label=${what} max=${total || 1} value=${done}></progress>
        `
      })}
    </section>
  `
}
