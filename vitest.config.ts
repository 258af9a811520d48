import { readdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { defineConfig } from 'vitest/config'
import { shared } from './vitest.shared.ts'

// The fuzz tests too, with few cases: see vitest.fuzz.config.ts.
const FILES = ['test/**/*.test.ts', 'test/fuzz/**/*.fuzz.ts']

const PATHS = readdirSync('test', { recursive: true, encoding: 'utf8' }).map(
  (path) => `test/${path}`,
)

/** Folders whose setup.ts starts, when it is imported, what a file of tests uses. */
const WITH_SETUP = PATHS.filter((path) => path.endsWith('/setup.ts')).map(dirname)

/** Files that measure memory or CPU time of their process, where others would leave theirs. */
const MEASURING = PATHS.filter((path) => path.endsWith('.test.ts')).filter((path) =>
  /cpuUsage|memoryUsage|helpers\/stall\.ts/.test(readFileSync(path, 'utf8')),
)

const { globalSetup, ...each } = shared.test!

/**
 * `npm test`: files share the modules of their process, which takes a third less time; those whose
 * setup.ts has to be imported anew, and those that measure their process, have one each.
 */
export default defineConfig({
  test: {
    ...each,
    // Once for both projects.
    globalSetup,
    projects: [
      {
        ...shared,
        test: {
          ...each,
          name: 'alone',
          include: [...WITH_SETUP.map((folder) => `${folder}/*.test.ts`), ...MEASURING],
        },
      },
      {
        ...shared,
        test: {
          ...each,
          name: 'together',
          include: FILES,
          exclude: [...WITH_SETUP.map((folder) => `${folder}/**`), ...MEASURING],
          isolate: false,
        },
      },
    ],
  },
})
