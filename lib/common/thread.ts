import { Worker } from 'node:worker_threads'

/**
 * Starts a thread that runs `thread.ts` in the folder of a module: by Node.js itself where that strips
 * types (22.18 and newer), by tsx where it does not. Of the compiled project it is `thread.js`.
 * @param url the module's `import.meta.url`
 */
export function startThreadBeside(url: string): Worker {
  const options = { execArgv: [] }
  if (url.endsWith('.js')) return new Worker(new URL('./thread.js', url), options)
  const thread = new URL('./thread.ts', url)
  const stripsTypes = Boolean((process.features as { typescript?: string | false }).typescript)
  if (stripsTypes) return new Worker(thread, options)
  const starter = new URL('./start-thread.mjs', import.meta.url)
  return new Worker(starter, { ...options, workerData: thread.href })
}
