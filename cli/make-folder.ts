import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Makes a folder, and those above it that it needs. `recursive` of mkdir has no end in Node.js 20 where
 * a folder that is there takes no other, such as /proc.
 * @throws the error of mkdir
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path)
  } catch (error) {
    const above = dirname(path)
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && !(await isFolder(above))) {
      await makeFolder(above)
      return makeFolder(path)
    }
    if (!(await isFolder(path))) throw error
  }
}

async function isFolder(path: string): Promise<boolean> {
  const at = await stat(path).catch(() => undefined)
  return at?.isDirectory() === true
}
