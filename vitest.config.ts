import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    // The fuzz tests too, with few cases: see vitest.fuzz.config.ts.
    include: ['test/**/*.test.ts', 'test/fuzz/**/*.fuzz.ts'],
    globalSetup: 'test/setup/postgres.ts',
    // Much of what the tests do is waiting, so that even two cores take two files at once.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
