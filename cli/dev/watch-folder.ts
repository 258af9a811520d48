import { type FSWatcher, watch } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Quiet after a change before it is told: an editor may write a file in several steps. */
const QUIET_MS = 15

/**
 * Calls `changed` soon after something below a folder has changed, in folders that are made later
 * too. Hidden folders are passed over.
 * @returns a function that ends it
 */
export async function watchFolder(root: string, changed: () => void): Promise<() => void> {
  const watchers = new Map<string, FSWatcher>()
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
    watchers.get(folder)?.close()
    watchers.delete(folder)
  }
  const watchAll = async (folder: string): Promise<void> => {
    if (isEnded) return
    if (!watchers.has(folder)) {
      const watcher = watch(folder, onChange)
      // A folder that is gone.
      watcher.on('error', () => forget(folder))
      watchers.set(folder, watcher)
    }
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => {
      forget(folder)
      return []
    })
    const folders = entries.filter((one) => one.isDirectory() && !one.name.startsWith('.'))
    await Promise.all(folders.map(({ name }) => watchAll(join(folder, name))))
  }
  await watchAll(root)
  return () => {
    isEnded = true
    clearTimeout(timer)
    for (const folder of [...watchers.keys()]) forget(folder)
  }
}
