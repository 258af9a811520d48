// Runs in a worker thread: see parser.ts.
import { parentPort } from 'node:worker_threads'
import { loadModule } from 'libpg-query'
import { bodyNamesIn } from './body-names.ts'
import { valuesOf } from './evaluated.ts'
import { hiddenInRoutine } from './hidden.ts'
import type { Answer, Question } from './parser.ts'
import { readStatement } from './read.ts'
import { splitStatements } from './split.ts'

await loadModule()

const TASKS: Record<Question['task'], (text: string) => unknown> = {
  split: splitStatements,
  read: readStatement,
  routine: hiddenInRoutine,
  values: valuesOf,
  'body names': bodyNamesIn,
}

parentPort!.on('message', ({ id, task, text }: Question) => {
  try {
    const result = TASKS[task](text)
    parentPort!.postMessage({ id, result } satisfies Answer)
  } catch {
    // The tree is deeper than JavaScript's stack. The thread goes on for other texts.
    parentPort!.postMessage({ id, result: undefined, isTooDeep: true } satisfies Answer)
  }
})
