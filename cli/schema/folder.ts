import { existsSync, statSync } from 'node:fs'
import { open, readdir, rm } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { compareMigrations } from '../../lib/archive/order.ts'
import { Failure } from '../command.ts'
import { makeFolder } from '../make-folder.ts'

const ROOT = 'postgresql'

/** Returns the folder with the sections: `postgresql/` in the folder, or the folder itself. */
export function schemaFolder(folder: string): string {
  const inside = join(folder, ROOT)
  return statSync(inside, { throwIfNoEntry: false })?.isDirectory() ? inside : folder
}

/**
 * Writes files, by their paths from the folder; makes the folders that they need.
 * @throws {Failure} if one of them exists, or cannot be written; nothing is written then
 */
export async function writeNew(folder: string, files: Record<string, string>): Promise<void> {
  const paths = Object.keys(files)
  const there = paths.filter((path) => existsSync(join(folder, path)))
  if (there.length > 0) {
    throw new Failure(
      `Nothing is written: ${there.join(', ')} ${there.length > 1 ? 'exist' : 'exists'} already`,
    )
  }
  const made: string[] = []
  try {
    for (const [path, text] of Object.entries(files)) {
      const file = join(folder, path)
      await makeFolder(dirname(file))
      const opened = await open(file, 'wx')
      made.push(file)
      await opened.writeFile(text).finally(() => opened.close())
    }
  } catch (error) {
    for (const file of made) await rm(file, { force: true })
    throw new Failure(`Nothing is written: ${(error as Error).message}`)
  }
}

/** Returns the files of a section, as paths from it, in the order of migrations. */
export async function filesOf(root: string, section: string): Promise<string[]> {
  const folder = join(root, section)
  if (!existsSync(folder)) return []
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort(compareMigrations)
}

/** Returns a path for a message: from the working folder if it is inside. */
export function shownPath(path: string, workingFolder: string): string {
  const from = relative(workingFolder, resolve(workingFolder, path))
  return from === '' ? '.' : from.startsWith('..') ? path : from
}
