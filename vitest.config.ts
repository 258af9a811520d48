import { readdirSync, readFileSync } from 'node:fs'
import { defineConfig } from 'vitest/config'
import { shared } from './vitest.shared.ts'

// The fuzz tests too, with few cases: see vitest.fuzz.config.ts.
const FILES = ['test/**/*.test.ts', 'test/fuzz/**/*.fuzz.ts']

/** Files that measure memory or CPU time of their process, where others would leave theirs. */
const MEASURING = readdirSync('test', { recursive: true, encoding: 'utf8' })
  .map((path) => `test/${path}`)
  .filter((path) => path.endsWith('.test.ts'))
  .filter((path) => /cpuUsage|memoryUsage|helpers\/stall\.ts/.test(readFileSync(path, 'utf8')))

const { globalSetup, ...each } = shared.test!

/**
 * `npm test`: files share the modules of their process, which takes a third less time; those that
 * measure their process have one each.
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
          include: MEASURING,
        },
      },
      {
        ...shared,
        test: {
          ...each,
          name: 'together',
          include: FILES,
          exclude: MEASURING,
          isolate: false,
        },
      },
    ],
  },
})
