/** Variables, by name. */
export type Environment = Record<string, string | undefined>

/** Settings that are secret, or have a password in them. */
const SECRETS = [
  'DATABASE_URL',
  'DATABASE_READ_URLS',
  'DB_PASSWORD',
  'ADMIN_TOKEN',
  'GATEWAY_SECRET',
  'GATEWAY_SECRET_PREVIOUS',
]

/**
 * Takes the secrets out of the environment once they were read: what Node.js tells of a process
 * that crashes has the whole environment in it, and so have the processes that it starts.
 */
export function forgetSecrets(env: Environment): void {
  for (const name of SECRETS) delete env[name]
}
