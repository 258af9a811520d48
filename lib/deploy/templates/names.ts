import { createHash } from 'node:crypto'
import type { SchemaArchive } from '../../archive/archive.ts'

/** What databases of the gateway's own are called: no platform's may be. */
const RESERVED = '_db_gateway'

/** Folders whose files are replaced as a whole: a template can be brought up to date with them. */
const CODE = new Set(['functions', 'views', 'triggers', 'policies'])

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
  for (const [section, list] of Object.entries(files).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    if (CODE.has(section)) continue
    for (const { path, checksum } of list) hash.update(`${path}\0${checksum}\0`)
  }
  return hash.digest('hex')
}
