import { readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Writable } from 'node:stream'
import { makeFolder } from '../make-folder.ts'
import { writeWholeFile } from '../whole-file.ts'

/**
 * Writes a file, and makes the folders that it needs. Who reads it meanwhile, and a disk that is full,
 * leave it as it was.
 * @returns false if the file has this content already; it is not touched then
 * @throws {Failure} if it cannot be written
 */
export async function writeChanged(path: string, content: Buffer): Promise<boolean> {
  const at = await stat(path).catch(() => undefined)
  // A device may have no end.
  const old = at?.isFile() ? await readFile(path).catch(() => undefined) : undefined
  if (old?.equals(content)) return false
  await makeFolder(dirname(path))
  const write = async (to: Writable) => void to.write(content)
  await writeWholeFile(path, write, at ? at.mode & 0o777 : 0o666)
  return true
}
