import { defineConfig, mergeConfig } from 'vitest/config'
import config from './vitest.config.ts'

/** Runs the shell blocks of README.md and docs/: `npm run test:docs`. `npm test` runs them as well. */
export default mergeConfig(
  { ...config, test: { ...config.test, include: [] } },
  defineConfig({ test: { include: ['test/docs/**/*.test.ts'] } }),
)
