import { defineConfig, mergeConfig } from 'vitest/config'
import { shared } from './vitest.shared.ts'

process.env.PG_MAJOR ??= '15'

const FINDINGS = '{calls-{a,b},deploys-{attribution,loss,migrations}}'
const HANDLERS =
  '{call/{answers,parameters,refused,changed-functions},isolation,register,tenants-exported,transfers-cut}'

/**
 * Some tests of calls, deploys, isolation, exports and imports on the oldest PostgreSQL:
 * `npm run test:older`.
 */
export default mergeConfig(
  shared,
  defineConfig({
    test: {
      include: [
        `test/findings/${FINDINGS}.test.ts`,
        `test/handlers/${HANDLERS}.test.ts`,
        'test/cli/transfer.test.ts',
        'test/console/servers.test.ts',
        'test/servers/move-tenant.test.ts',
      ],
    },
  }),
)
