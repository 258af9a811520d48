import type { SchemaFile } from '../../archive/archive.ts'

/** Folders that hold nothing but what undoes migrations: sqitch's `revert/`, and others. */
const BACK_FOLDER = /(^|\/)(?:revert|rollback|rollbacks|undo)\//i
/** Folders that may hold other things: they count where there is the same file in the place of ups. */
const MAYBE_BACK_FOLDER = /(^|\/)(?:down|downs|verify)\//i
const BACK_SUFFIX = /[._-](?:rollback|undo|revert|down)(\.[^./]+)$/i
/** Flyway's undo migrations: `U2__name.sql`. */
const FLYWAY_UNDO = /(^|\/)U\d+(?:[._]\d+)*__[^/]*$/

/** golang-migrate's and Diesel's names of files that undo a migration; always taken for that. */
function isKnownWayBack(name: string, names: ReadonlySet<string>): boolean {
  if (/\.down\.[^./]+$/i.test(name)) return true
  return /(^|\/)down\.[^./]+$/i.test(name) && names.has(name.replace(/down(\.[^./]+)$/i, 'up$1'))
}

/** Whether a file of migrations/ undoes (or only checks) another one; `names` are those of all. */
export function isWayBack({ name }: SchemaFile, names: ReadonlySet<string>): boolean {
  return isKnownWayBack(name, names) || isUndo(name, names)
}

/** Of tools whose names others may use for something else, so that a warning is due. */
function isUndo(name: string, names: ReadonlySet<string>): boolean {
  if (BACK_FOLDER.test(name) || FLYWAY_UNDO.test(name)) return true
  const ups = ['$1', '$1up/', '$1ups/', '$1deploy/'].map((up) =>
    name.replace(MAYBE_BACK_FOLDER, up),
  )
  const bare = ['$1', '.up$1', '_up$1', '-up$1'].map((up) => name.replace(BACK_SUFFIX, up))
  return [...ups, ...bare].some((up) => up !== name && names.has(up))
}

/** Names the files that do not run, where the names alone tell that they lead back. */
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
    `Not run, since by their names they undo or check other migrations: ${undoing.join(', ')}`,
  ]
}
