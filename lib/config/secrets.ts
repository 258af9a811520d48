import type { Environment } from './setting.ts'
import { ALL_SETTINGS } from './settings.ts'

/**
 * Takes the secrets out of the environment once they were read: what Node.js tells of a process
 * that crashes has the whole environment in it, and so have the processes that it starts.
 */
export function forgetSecrets(env: Environment): void {
  for (const { name, secret } of ALL_SETTINGS) if (secret) delete env[name]
}
