import { defineConfig, mergeConfig } from 'vitest/config'
import config from './vitest.config.ts'

/** Tests that mostly wait, for failovers and for time limits: `npm run test:slow`. */
export default mergeConfig(
  { ...config, test: { ...config.test, include: [] } },
  defineConfig({ test: { include: ['test/**/*.slow.ts'] } }),
)
