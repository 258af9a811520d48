import { createHash } from 'node:crypto'
import { type SchemaArchive, SECTIONS } from '../../archive/archive.ts'
import { CODE_SECTIONS } from '../run/code.ts'

/** What databases of the gateway's own are called: no platform's may be. */
const RESERVED = '_db_gateway'

/**
 * The name of the template of a platform's archive. Gateways with the same administrative database
 * (`admin`) have the same; those with another one on the same server do not.
 */
export function templateName(admin: string, platform: string, checksum: string): string {
  const hash = createHash('sha256').update([admin, platform, checksum].join('\0')).digest('hex')
  return `${RESERVED}_template_${hash.slice(0, 20)}`
}

/** Whether the name is one of the gateway's own. */
export function isReserved(database: string): boolean {
  return database.startsWith(RESERVED)
}

/** Tells archives apart whose templates differ in more than code. */
export function baseOf({ files }: SchemaArchive): string {
  const hash = createHash('sha256')
  for (const section of SECTIONS.toSorted()) {
    if ((CODE_SECTIONS as readonly string[]).includes(section)) continue
    for (const { path, checksum } of files[section]) hash.update(`${path}\0${checksum}\0`)
  }
  return hash.digest('hex')
}
