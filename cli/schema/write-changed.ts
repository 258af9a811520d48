import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Writes a file, and makes the folders that it needs.
 * @returns false if the file has this content already; it is not touched then
 */
export async function writeChanged(path: string, content: Buffer): Promise<boolean> {
  const old = await readFile(path).catch(() => undefined)
  if (old?.equals(content)) return false
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, content)
  return true
}
