import { availableParallelism } from 'node:os'
import { defineConfig, mergeConfig } from 'vitest/config'
import { shared } from './vitest.shared.ts'

/** Tests that mostly wait, for failovers and for time limits: `npm run test:slow`. */
export default mergeConfig(
  shared,
  defineConfig({
    test: {
      include: ['test/**/*.slow.ts'],
      // Many of them measure how long something lasts.
      maxWorkers: availableParallelism() + 1,
    },
  }),
)
