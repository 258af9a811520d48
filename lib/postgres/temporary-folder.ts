import { lstat, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Beginning of the folders' names. */
const PREFIX = 'db-gateway-tool-'

/** The temporary folder of the machine cannot be written. */
export class TemporaryFolderError extends Error {
  override readonly name = 'TemporaryFolderError'
}

/**
 * Runs `work` with a new folder that only this user can read, and removes it.
 * @throws {TemporaryFolderError}; the errors of `work`
 */
export async function withTemporaryFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), PREFIX)).catch(failed)
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/**
 * Writes a file with mode 0600 into such a folder.
 * @throws {TemporaryFolderError}
 */
export async function writeTemporary(path: string, text: string): Promise<void> {
  await writeFile(path, text, { mode: 0o600 }).catch(failed)
}

/**
 * Removes the folders older than `ageMs`, which killed gateways have left. A program reads the files
 * in them when it starts.
 */
export async function removeLeftFolders(ageMs: number): Promise<void> {
  const names = await readdir(tmpdir()).catch(() => [])
  for (const name of names.filter((one) => one.startsWith(PREFIX))) {
    const folder = join(tmpdir(), name)
    // Those of other users stay.
    const at = await lstat(folder).catch(() => undefined)
    if (!at || Date.now() - at.mtimeMs < ageMs) continue
    await rm(folder, { recursive: true, force: true }).catch(() => {})
  }
}

function failed({ code, message }: NodeJS.ErrnoException): never {
  // The path is the gateway's own affair.
  throw new TemporaryFolderError(message.replace(/, \w+ '.*$/s, '') || code)
}
