import type { GivenSecrets } from '../catalog/open-catalog.ts'
import { findOwnSecret, readOwnSecret, Secret } from './secret.ts'

/** Settings that concern secrets. */
export interface SecretSettings {
  secret: string | undefined
  previousSecret: string | undefined
  /** Data folder of an embedded PostgreSQL, which holds a secret; undefined with DATABASE_URL. */
  ownDataDir: string | undefined
}

/**
 * Returns the secrets of the settings, or of the data folder. A secret in the settings replaces
 * that of the folder, which becomes the previous secret unless the settings give one.
 * @throws {Error} if the folder's secret file is damaged
 */
export async function readGivenSecrets(settings: SecretSettings): Promise<GivenSecrets> {
  const { secret, previousSecret, ownDataDir } = settings
  const previous = previousSecret === undefined ? undefined : new Secret(previousSecret)
  if (ownDataDir === undefined) {
    return {
      secret: secret === undefined ? undefined : new Secret(secret),
      previous,
      isReplaced: false,
    }
  }
  if (secret === undefined) {
    const own = await readOwnSecret(ownDataDir)
    return { secret: own.secret, previous, isReplaced: own.isNew && !previous }
  }
  return {
    secret: new Secret(secret),
    previous: previous ?? (await findOwnSecret(ownDataDir)),
    isReplaced: false,
  }
}
