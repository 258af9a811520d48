import type { ArchiveLimits, SchemaArchive } from '../../archive/archive.ts'
import { readRecentArchive } from '../../archive/recent.ts'
import { GatewayError } from '../../errors.ts'
import type { Json } from '../../json/json.ts'
import { nameOf } from '../../json/text.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Owner } from '../../tenancy/names.ts'
import { listKept, readPacked } from '../../tenancy/schemas/archives.ts'

const CHECKSUM = /^[0-9a-f]{64}$/

/**
 * Parses the checksum of an archive.
 * @throws {GatewayError} invalid_request
 */
export function parseChecksum(value: Json | undefined): string {
  return checkChecksum(value?.kind === 'string' ? nameOf(value) : '')
}

/**
 * Checks that a text is the checksum of an archive, and returns it.
 * @throws {GatewayError} invalid_request
 */
export function checkChecksum(text = ''): string {
  if (CHECKSUM.test(text)) return text
  throw new GatewayError(
    'invalid_request',
    'checksum must be the checksum of an archive: 64 hexadecimal digits, as /register returns it',
  )
}

/**
 * Returns a stored archive that a database of the owner's schema has had.
 * @param use runs work in the administrative database
 * @throws {GatewayError} not_found, with the checksums of the stored archives
 */
export async function findArchive(
  use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>,
  owner: Pick<Owner, 'platform' | 'schema'>,
  checksum: string,
  limits: ArchiveLimits,
): Promise<{ archive: SchemaArchive; packed: Uint8Array }> {
  const packed = await use((sql) => readPacked(sql, owner, checksum))
  if (packed) return { archive: await readRecentArchive(packed, limits), packed }
  const { platform, schema } = owner
  const whose =
    schema === null ? `platform ${platform}` : `schema ${schema} of platform ${platform}`
  throw new GatewayError(
    'not_found',
    `No archive ${checksum} of ${whose} is kept (KEPT_ARCHIVES)`,
    {
      archives: await use((sql) => listKept(sql, owner)),
    },
  )
}
