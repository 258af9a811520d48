import { defineConfig } from 'vitest/config'

/**
 * The fuzz tests at their full length: `npm run test:fuzz`. FUZZ_RUNS and FUZZ_REQUESTS are how
 * many cases, FUZZ_SECS how long each test may go on, FUZZ_SEED repeats a run. `npm test` runs them
 * as well, with few cases that are always the same.
 */
export default defineConfig({
  test: {
    include: ['test/fuzz/**/*.fuzz.ts'],
    globalSetup: 'test/setup/postgres.ts',
    // One at a time: they measure time and memory.
    fileParallelism: false,
    testTimeout: 60 * 60_000,
    hookTimeout: 60_000,
    disableConsoleIntercept: true,
    env: {
      FUZZ_RUNS: process.env.FUZZ_RUNS ?? '1000000',
      FUZZ_REQUESTS: process.env.FUZZ_REQUESTS ?? '50000',
      FUZZ_SEED: process.env.FUZZ_SEED ?? String(Date.now() % 2 ** 31),
      FUZZ_REPORT: 'yes',
    },
  },
})
