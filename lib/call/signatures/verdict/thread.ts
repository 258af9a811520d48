// A thread of its own: see judge.ts.
import { parentPort } from 'node:worker_threads'
import { loadModule } from 'libpg-query'
import type { Answer, Question } from './judge.ts'
import { judgeSchema } from './judge-schema.ts'

await loadModule()

parentPort!.on('message', ({ id, facts }: Question) => {
  let isBroken = false
  const verdicts = judgeSchema(facts, () => {
    isBroken = true
  })
  parentPort!.postMessage({ id, verdicts, isBroken } satisfies Answer)
})
