import { readdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { defineConfig } from 'vitest/config'
import { shared } from './vitest.shared.ts'

// The fuzz tests too, with few cases: see vitest.fuzz.config.ts.
const FILES = ['test/**/*.test.ts', 'test/fuzz/**/*.fuzz.ts']

/** Folders whose setup.ts starts, when it is imported, what a file of tests uses. */
const WITH_SETUP = readdirSync('test', { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('/setup.ts'))
  .map((path) => `test/${dirname(path)}`)

const { globalSetup, ...each } = shared.test!

/**
 * `npm test`: files share the modules of their process, which takes a third less time; those whose
 * setup.ts has to be imported anew have a process each.
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
          include: WITH_SETUP.map((folder) => `${folder}/*.test.ts`),
        },
      },
      {
        ...shared,
        test: {
          ...each,
          name: 'together',
          include: FILES,
          exclude: WITH_SETUP.map((folder) => `${folder}/**`),
          isolate: false,
        },
      },
    ],
  },
})
