import { type Config, readConfig } from '../config.ts'

/** Settings of the environment that hold for the tests too. */
const KEPT = ['ISOLATION', 'BASE_TEMPLATE', 'CONNECT_TIMEOUT_SECS', 'START_TIMEOUT_SECS']

/** The server in parts, where no URI names it. */
const PARTS = ['DB_HOST', 'DB_PORT', 'DB_NAME', 'DB_USER', 'DB_PASSWORD']

/**
 * Returns the settings of a gateway for tests; without a server they are for an embedded one.
 * @param databaseUrl URI of a PostgreSQL server; undefined: that of DB_HOST, if it is set
 * @throws {ConfigError} naming a setting that does not parse
 */
export function testsConfig(
  databaseUrl: string | undefined,
  env: Record<string, string | undefined>,
): Config {
  const isInParts = databaseUrl === undefined && Boolean(env.DB_HOST)
  const kept = isInParts ? [...KEPT, ...PARTS] : KEPT
  return readConfig({
    ...Object.fromEntries(kept.map((key) => [key, env[key]])),
    DATABASE_URL: databaseUrl,
    GATEWAY_HOST: '127.0.0.1',
    GATEWAY_PORT: '0',
    TEMPLATES: 'off',
    SHUTDOWN_TIMEOUT_SECS: '0',
  })
}
