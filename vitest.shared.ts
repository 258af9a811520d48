import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { memoryFolder } from './test/setup/memory-folder.ts'

// Test servers and temporary folders are in memory where there is room; TMPDIR chooses another place.
const memory = memoryFolder()
if (memory) process.env.TMPDIR ??= memory

/** The files that take longest, longest first. */
const LONG = [
  'storm',
  'gateways',
  'secrets',
  'restart',
  'replicas/',
  'server/',
  'docs/pages',
  'deploy-under-load',
]

/** Long files begin first, so that none runs alone at the end. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId, project }: TestSpecification) => {
      // A process of the others ends where a file that has one of its own is next.
      if (project.name === 'alone') return -1
      const place = LONG.findIndex((name) => moduleId.includes(`/${name}`))
      return place === -1 ? LONG.length : place
    }
    return (await super.sort(files)).sort((one, other) => rank(one) - rank(other))
  }
}

/** What all runs of tests share. */
export const shared = defineConfig({
  resolve: {
    alias: [
      {
        find: /^.*\/common\/thread\.ts$/,
        replacement: join(import.meta.dirname, 'test/setup/built-thread.ts'),
      },
    ],
  },
  test: {
    globalSetup: ['test/setup/build.ts', 'test/setup/postgres.ts'],
    setupFiles: ['test/setup/each-file.ts'],
    sequence: { sequencer: LongestFirst },
    // Much of what the tests do is waiting, so that two cores take four files at once.
    maxWorkers: 2 * availableParallelism(),
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
