import { createHash } from 'node:crypto'
import { type SchemaArchive, SECTIONS } from '../../archive/archive.ts'
import { CODE_SECTIONS } from '../../archive/sections.ts'

/** Prefix of the gateway's own databases; no platform's database may have it. */
const RESERVED = '_db_gateway'

/**
 * Returns the name of the template of a platform's archive.
 * @param admin administrative database; gateways that share it share templates, and others on the
 *   same server do not
 */
export function templateName(admin: string, platform: string, checksum: string): string {
  const hash = createHash('sha256').update([admin, platform, checksum].join('\0')).digest('hex')
  return `${RESERVED}_template_${hash.slice(0, 20)}`
}

/** Returns whether the name is reserved for the gateway's own databases. */
export function isReserved(database: string): boolean {
  return database.startsWith(RESERVED)
}

/** Returns a hash of all files except code; archives with the same hash differ in code only. */
export function baseOf({ files }: SchemaArchive): string {
  const hash = createHash('sha256')
  for (const section of SECTIONS.toSorted()) {
    if ((CODE_SECTIONS as readonly string[]).includes(section)) continue
    for (const { path, checksum } of files[section]) hash.update(`${path}\0${checksum}\0`)
  }
  return hash.digest('hex')
}
