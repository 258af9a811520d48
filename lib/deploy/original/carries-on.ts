import type { SchemaArchive } from '../../archive/archive.ts'

type Files = Pick<SchemaArchive, 'files'>

/**
 * Returns whether an archive is a later release of another one: it has all migrations of the other
 * one, by path. If the other one has no migrations, it must have at least half of its tables and
 * functions, by path.
 */
export function carriesOn({ files }: Files, { files: before }: Files): boolean {
  if (before.migrations.length > 0)
    return countShared(files.migrations, before.migrations) === before.migrations.length
  const code = [...before.tables, ...before.functions]
  return 2 * countShared([...files.tables, ...files.functions], code) >= code.length
}

/** Returns how many files of `wanted` are in `there`, by path. */
function countShared(there: { path: string }[], wanted: { path: string }[]): number {
  const paths = new Set(there.map(({ path }) => path))
  return wanted.filter(({ path }) => paths.has(path)).length
}
