import type { SchemaArchive } from '../../archive/archive.ts'

type Files = Pick<SchemaArchive, 'files'>

/**
 * Whether an archive carries on another one, as a later release does: it has each of its migrations, by
 * name; where that has none, at least half of its tables and functions, by path.
 */
export function carriesOn({ files }: Files, { files: before }: Files): boolean {
  if (before.migrations.length > 0)
    return countShared(files.migrations, before.migrations) === before.migrations.length
  const code = [...before.tables, ...before.functions]
  return 2 * countShared([...files.tables, ...files.functions], code) >= code.length
}

/** How many of `wanted` are in `there`. */
function countShared(there: { path: string }[], wanted: { path: string }[]): number {
  const paths = new Set(there.map(({ path }) => path))
  return wanted.filter(({ path }) => paths.has(path)).length
}
