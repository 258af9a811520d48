import { defineConfig } from 'vitest/config'
import { memoryFolder } from './test/setup/memory-folder.ts'

// On a disk the sync of a rewound node takes minutes.
const memory = memoryFolder()
if (memory) process.env.TMPDIR ??= memory

/** The fault tests: `npm run test:faults`. They take minutes, so `npm test` leaves them out. */
export default defineConfig({
  test: {
    include: ['test/faults/**/*.faults.ts'],
    globalSetup: 'test/faults/setup.ts',
    // They share a folder, and a machine that has enough to do with one.
    fileParallelism: false,
    // The first database that is not as it should be ends the run.
    bail: 1,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    disableConsoleIntercept: true,
  },
})
