import { computed, signal } from '@preact/signals'
import { onEvent } from './events.js'

/**
 * A deploy of any gateway, as the event `job` tells.
 * @typedef {{ platform: string, id: string, state: string, done: number, total: number, running: string[], failures: any[] }} Job
 */

/** @type {import('@preact/signals').Signal<Map<string, Job>>} */
const jobs = signal(new Map())

/** The deploys that run. */
export const runningJobs = computed(() =>
  [...jobs.value.values()].filter(({ state }) => state === 'running'),
)

onEvent('job', (/** @type {Job} */ job) => {
  const next = new Map(jobs.value)
  if (job.state === 'running') next.set(job.id, job)
  else next.delete(job.id)
  jobs.value = next
})

// A stream that is opened again tells of the jobs that still run.
onEvent('open', () => {
  jobs.value = new Map()
})
