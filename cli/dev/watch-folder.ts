import { type FSWatcher, watch } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** Quiet after a change before it is told: an editor may write a file in several steps. */
const QUIET_MS = 15

/**
 * Calls `changed` soon after something below a folder has changed, in folders that are made later
 * too, and after the folder itself has gone or come back. Hidden folders are passed over.
 * @returns a function that ends it
 */
export async function watchFolder(root: string, changed: () => void): Promise<() => void> {
  const watchers = new Map<string, { watcher: FSWatcher; identity: string }>()
  let timer: NodeJS.Timeout | undefined
  let isEnded = false
  const onChange = () => {
    clearTimeout(timer)
    timer = setTimeout(async () => {
      await watchAll(root).catch(() => {})
      if (!isEnded) changed()
    }, QUIET_MS)
  }
  const forget = (folder: string) => {
    watchers.get(folder)?.watcher.close()
    watchers.delete(folder)
  }
  const watchAll = async (folder: string): Promise<void> => {
    const identity = await identityOf(folder)
    // The watcher of a folder that was removed does not hear of one that is made at its path.
    if (watchers.get(folder)?.identity !== identity) forget(folder)
    if (isEnded || identity === undefined) return
    if (!watchers.has(folder)) {
      const watcher = watch(folder, onChange)
      // A folder that is gone.
      watcher.on('error', () => forget(folder))
      watchers.set(folder, { watcher, identity })
    }
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
    const folders = entries.filter((one) => one.isDirectory() && !one.name.startsWith('.'))
    await Promise.all(folders.map(({ name }) => watchAll(join(folder, name))))
  }
  const above = watch(dirname(root), (_, name) => {
    if (name === null || name === basename(root)) onChange()
  })
  above.on('error', () => above.close())
  await watchAll(root)
  return () => {
    isEnded = true
    clearTimeout(timer)
    above.close()
    for (const folder of [...watchers.keys()]) forget(folder)
  }
}

/** Returns what tells a folder from one that is made later at its path; undefined if there is none. */
async function identityOf(folder: string): Promise<string | undefined> {
  const at = await stat(folder).catch(() => undefined)
  return at?.isDirectory() ? `${at.ino} ${at.birthtimeMs}` : undefined
}
