import { GatewayError } from '../errors.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { databasePrefix } from './names.ts'
import { listPlatforms } from './platforms.ts'

/**
 * Checks that a database which is not empty and in no catalog may be taken for the platform. If
 * several known platforms can write the name, it belongs to the platform with the longest name.
 * @param admin connection to the administrative database
 * @throws {GatewayError} name_conflict if the name belongs to another platform
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
    `The database ${database} exists on the server and is in no catalog; by its name it may belong to another platform`,
    {
      database,
      hint: `If it is a database of platform ${platform}, take it over with POST /admin/adopt`,
    },
  )
}
