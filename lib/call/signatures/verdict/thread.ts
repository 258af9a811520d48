// Entry point of the worker thread: see judge.ts.
import { parentPort } from 'node:worker_threads'
import { loadModule } from 'libpg-query'
import type { Code } from './effects.ts'
import type { Answer, Question } from './judge.ts'
import { judgeSchema } from './judge-schema.ts'

await loadModule()

parentPort!.on('message', ({ id, facts, codes: known }: Question) => {
  let isBroken = false
  const codes: [number, Code][] = []
  const verdicts = judgeSchema(
    facts,
    () => {
      isBroken = true
    },
    { known, onRead: (place, code) => codes.push([place, code]) },
  )
  parentPort!.postMessage({ id, verdicts, codes, isBroken } satisfies Answer)
})
