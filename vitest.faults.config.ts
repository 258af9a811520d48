import { defineConfig } from 'vitest/config'

/** The fault tests: `npm run test:faults`. They take minutes, so `npm test` leaves them out. */
export default defineConfig({
  test: {
    include: ['test/faults/**/*.faults.ts'],
    globalSetup: 'test/faults/setup.ts',
    // The first database that is not as it should be ends the run.
    bail: 1,
    hookTimeout: 60_000,
    disableConsoleIntercept: true,
  },
})
