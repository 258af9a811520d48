import type { SchemaFile } from '../../archive/archive.ts'

/** Folders that hold only files that undo migrations: sqitch's `revert/` and similar. */
const BACK_FOLDER = /(^|\/)(?:revert|rollback|rollbacks|undo)\//i
/**
 * Folders that may have other uses. A file in them counts as undoing only if the same file exists
 * in the place of the forward migrations.
 */
const MAYBE_BACK_FOLDER = /(^|\/)(?:down|downs|verify)\//i
const BACK_SUFFIX = /[._-](?:rollback|undo|revert|down)(\.[^./]+)$/i
/** Flyway's undo migrations: `U2__name.sql`. */
const FLYWAY_UNDO = /(^|\/)U\d+(?:[._]\d+)*__[^/]*$/

/**
 * Names that golang-migrate and Diesel give to files that undo a migration. They never run, without
 * a warning.
 */
function isKnownWayBack(name: string, names: ReadonlySet<string>): boolean {
  if (/\.down\.[^./]+$/i.test(name)) return true
  return /(^|\/)down\.[^./]+$/i.test(name) && names.has(name.replace(/down(\.[^./]+)$/i, 'up$1'))
}

/**
 * Whether a file of migrations/ only undoes or checks another migration.
 * @param names names of all files of migrations/
 */
export function isWayBack({ name }: SchemaFile, names: ReadonlySet<string>): boolean {
  return isKnownWayBack(name, names) || isUndo(name, names)
}

/**
 * Recognises the naming of other tools. Projects may use these names for something else, so
 * skipping such a file is reported.
 */
function isUndo(name: string, names: ReadonlySet<string>): boolean {
  if (BACK_FOLDER.test(name) || FLYWAY_UNDO.test(name)) return true
  const ups = ['$1', '$1up/', '$1ups/', '$1deploy/'].map((up) =>
    name.replace(MAYBE_BACK_FOLDER, up),
  )
  const bare = ['$1', '.up$1', '_up$1', '-up$1'].map((up) => name.replace(BACK_SUFFIX, up))
  return [...ups, ...bare].some((up) => up !== name && names.has(up))
}

/** Returns a warning that names the files that do not run because of their names. */
export function wayBackWarnings(
  files: SchemaFile[],
  known: ReadonlyMap<string, unknown>,
): string[] {
  const names = new Set(files.map(({ name }) => name))
  const undoing = files
    .map(({ name }) => name)
    .filter((name) => !known.has(name) && !isKnownWayBack(name, names) && isUndo(name, names))
  if (undoing.length === 0) return []
  return [
    `Not run, because their names say that they undo or check other migrations: ${undoing.join(', ')}`,
  ]
}
