// A thread of its own: see parser.ts.
import { parentPort } from 'node:worker_threads'
import { loadModule } from 'libpg-query'
import type { Answer, Question } from './parser.ts'
import { readStatement } from './read.ts'
import { splitStatements } from './split.ts'

await loadModule()

parentPort!.on('message', ({ id, task, text }: Question) => {
  const result = task === 'split' ? splitStatements(text) : readStatement(text)
  parentPort!.postMessage({ id, result } satisfies Answer)
})
