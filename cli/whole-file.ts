import { randomUUID } from 'node:crypto'
import { open, realpath, rename, rm, stat } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { Failure } from './command.ts'

/**
 * Writes a file that is there when it is whole: until then the bytes are in a file beside it, whose
 * name ends in `.part`, and a file of that name stays as it is. Where the writing fails, nothing is
 * left. What is no regular file (/dev/null, a named pipe) is written to directly.
 * @param write writes the bytes, and leaves the stream open
 * @param mode permissions of the file, less the umask; 0o600 by default
 * @throws {Failure} if the file cannot be written; what `write` throws
 */
export async function writeWholeFile<T>(
  path: string,
  write: (to: Writable) => Promise<T>,
  mode = 0o600,
): Promise<T> {
  const at = await stat(path).catch(() => undefined)
  if (at?.isDirectory()) throw new Failure(`${path} is a folder`)
  if (at && !at.isFile()) return writing(path, 'w', write, mode)
  // A link stays one.
  const whole = at ? await realpath(path) : path
  const part = `${whole}.${randomUUID().slice(0, 8)}.part`
  try {
    const result = await writing(part, 'wx', write, mode)
    await rename(part, whole)
    return result
  } catch (error) {
    await rm(part, { force: true })
    throw error
  }
}

async function writing<T>(
  path: string,
  flags: string,
  write: (to: Writable) => Promise<T>,
  mode: number,
): Promise<T> {
  const file = await open(path, flags, mode).catch((error: Error) => {
    throw new Failure(`${path} cannot be written: ${error.message}`)
  })
  // `flush` has the disk write the bytes before the file is closed.
  const to = file.createWriteStream({ flush: flags === 'wx' })
  try {
    const result = await write(to)
    to.end()
    await finished(to)
    return result
  } catch (error) {
    const { syscall, message } = error as NodeJS.ErrnoException
    throw syscall === 'write' ? new Failure(`${path} cannot be written: ${message}`) : error
  } finally {
    to.destroy()
  }
}
