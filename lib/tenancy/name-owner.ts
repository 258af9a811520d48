import { GatewayError } from '../errors.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { databasePrefix } from './names.ts'
import { listPlatforms } from './platforms.ts'

/**
 * Looks whether a database that is in no catalog, and is not empty, may be the platform's by its name:
 * of the known platforms that can write the name, the one with the longest name has it. `admin` is a
 * connection to the administrative database.
 * @throws {GatewayError} name_conflict where it is another platform's
 */
export async function checkNameOwner(
  admin: Sql,
  platform: string,
  database: string,
): Promise<void> {
  const own = databasePrefix(platform)
  const platforms = await listPlatforms(admin)
  const isOfOther = platforms.some(({ name }) => {
    const prefix = databasePrefix(name)
    return prefix.length > own.length && database.startsWith(`${prefix}_`)
  })
  if (!isOfOther) return
  throw new GatewayError(
    'name_conflict',
    `There is a database ${database} on the server that is in no catalog, and by its name it may be another platform's`,
    {
      database,
      hint: `Where it is a database of platform ${platform}, take it with POST /admin/adopt`,
    },
  )
}
