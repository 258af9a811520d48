import { defineConfig, mergeConfig } from 'vitest/config'
import { shared } from './vitest.shared.ts'

/** Runs the shell blocks of README.md and docs/: `npm run test:docs`. `npm test` runs them as well. */
export default mergeConfig(shared, defineConfig({ test: { include: ['test/docs/**/*.test.ts'] } }))
