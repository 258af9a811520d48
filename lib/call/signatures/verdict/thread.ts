// A thread of its own: see judge.ts.
import { parentPort } from 'node:worker_threads'
import { loadModule } from 'libpg-query'
import type { Question } from './judge.ts'
import { judgeSchema } from './judge-schema.ts'

await loadModule()

parentPort!.on('message', ({ id, facts }: Question) => {
  parentPort!.postMessage({ id, verdicts: judgeSchema(facts) })
})
