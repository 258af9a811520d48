import { type Config, ConfigError, readConfig } from '../config.ts'
import { findBinaries } from '../postgres/embedded/binaries.ts'
import { type Check, failed, ok } from './check.ts'
import { checkMachine } from './machine.ts'
import { checkServer } from './server.ts'
import { checkServers } from './servers.ts'
import { checkSettings } from './settings.ts'

/**
 * Looks at what a gateway with these settings needs: the settings themselves, this machine, and its
 * PostgreSQL. Changes nothing but a role that it makes and drops, to log in as it.
 * @param env the environment
 */
export async function examine(env: Record<string, string | undefined>): Promise<Check[]> {
  let config: Config
  try {
    config = readConfig(env)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return [failed('settings', error.message, 'Correct it: the gateway does not start')]
  }
  const server = config.server ? await checkServer(config, config.server) : [await checkEmbedded()]
  return [
    ...checkSettings(config),
    ...(await checkMachine(config)),
    ...server,
    ...(await checkServers(config)),
  ]
}

async function checkEmbedded(): Promise<Check> {
  try {
    await findBinaries()
    return ok('embedded', 'Without DATABASE_URL the gateway starts its own PostgreSQL in DATA_DIR')
  } catch (error) {
    return failed('embedded', (error as Error).message, 'Set DATABASE_URL to a PostgreSQL server')
  }
}
