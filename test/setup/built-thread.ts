import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'

const PROJECT = join(import.meta.dirname, '../..')

/** Starts the compiled thread, in place of lib/common/thread.ts: see build.ts. */
export function startThreadBeside(url: string): Worker {
  const folder = relative(PROJECT, dirname(fileURLToPath(url)))
  return new Worker(join(process.env.TEST_BUILD!, folder, 'thread.js'), { execArgv: [] })
}
