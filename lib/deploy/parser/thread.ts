// Runs in a worker thread: see parser.ts.
import { parentPort } from 'node:worker_threads'
import { loadModule } from 'libpg-query'
import { isSpoiled, isTooDeep } from '../../common/pg-parser.ts'
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
  const answer = (more: Pick<Answer, 'result' | 'isTooDeep'>) =>
    parentPort!.postMessage({ id, isSpoiled: isSpoiled(), ...more } satisfies Answer)
  try {
    answer({ result: TASKS[task](text) })
  } catch (error) {
    // The text, or its tree, is deeper than JavaScript's stack.
    if (!isTooDeep(error)) throw error
    answer({ result: undefined, isTooDeep: true })
  }
})
