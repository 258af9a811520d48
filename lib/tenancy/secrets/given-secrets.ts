import type { GivenSecrets } from '../catalog/open-catalog.ts'
import { findOwnSecret, readOwnSecret, Secret } from './secret.ts'

/** What the settings say of secrets. */
export interface SecretSettings {
  secret: string | undefined
  previousSecret: string | undefined
  /** Of an embedded PostgreSQL, whose data folder has a secret; undefined with DATABASE_URL. */
  ownDataDir: string | undefined
}

/**
 * The secrets of the settings, or of the data folder. A setting that takes the place of the folder's
 * changes it.
 * @throws {Error} where the folder's is damaged
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
