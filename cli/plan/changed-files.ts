import { readArchive, type SchemaArchive } from '../../lib/archive/archive.ts'
import { CODE_SECTIONS } from '../../lib/archive/sections.ts'
import { type DiffLine, diffLines, withContext } from '../../lib/common/diff-lines.ts'
import type { Line } from '../fleet/state.ts'
import { download } from '../gateway/client.ts'
import { findInPages } from '../gateway/pages.ts'
import { RequestFailed } from '../gateway/request-failed.ts'
import type { Target } from '../gateway/target.ts'
import { LIMITS } from '../schema/pack.ts'

/** A file of a schema that differs from the archive in place. */
export interface ChangedFile {
  path: string
  kind: 'added' | 'changed' | 'removed'
  /** Its lines around the changes. */
  lines: DiffLine[]
}

/**
 * Compares the code of a schema with the archive that a database has.
 * @returns undefined if the gateway does not show that archive to this client, or keeps it no longer
 */
export async function changedFiles(
  target: Target,
  platform: string,
  database: string,
  schema: SchemaArchive,
): Promise<ChangedFile[] | undefined> {
  try {
    const query = { platform, sizes: 'false' }
    const isMeant = ({ name }: Line) => name === database
    const found = await findInPages(target, '/admin/databases', query, 'databases', isMeant)
    const checksum = found?.schema_checksum
    if (!checksum) return undefined
    const path = `/admin/archives/${checksum}`
    const bytes = await download(target, path, 'application/gzip', { query: { platform } })
    return compareArchives(await readArchive(bytes, LIMITS), schema)
  } catch (error) {
    if (error instanceof RequestFailed && [401, 403, 404].includes(error.status)) return undefined
    throw error
  }
}

/** Returns the files of code that differ, in the order of a deploy. */
function compareArchives(before: SchemaArchive, after: SchemaArchive): ChangedFile[] {
  return CODE_SECTIONS.flatMap((section) => {
    const old = new Map(before.files[section].map(({ path, text }) => [path, text]))
    const current = new Map(after.files[section].map(({ path, text }) => [path, text]))
    const paths = [...new Set([...old.keys(), ...current.keys()])].sort()
    return paths.flatMap((path): ChangedFile[] => {
      const [was, is] = [old.get(path), current.get(path)]
      if (was === is) return []
      const kind = was === undefined ? 'added' : is === undefined ? 'removed' : 'changed'
      return [{ path, kind, lines: withContext(diffLines(was ?? '', is ?? '')) }]
    })
  })
}
