import { constants } from 'node:fs'
import { access, readFile, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Config } from '../config.ts'
import { type Check, failed, ok, warning } from './check.ts'

/** Free space below which a disk is nearly full. */
const LEAST_BYTES = 1024 ** 3

/** Descriptors of a process besides its connections: files, logs, pipes. */
const OTHER_FILES = 100

/** Looks at this machine: Node.js, file descriptors, and the folders of the settings. */
export async function checkMachine(config: Config): Promise<Check[]> {
  const folders = config.server ? [] : [checkFolder('DATA_DIR', config.dataDir)]
  const dumps = config.dumpDir === undefined ? [] : [checkFolder('DUMP_DIR', config.dumpDir)]
  return [
    checkNode(),
    ...(await checkFiles(config)),
    ...(await Promise.all([...folders, ...dumps])),
  ]
}

function checkNode(): Check {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 19))
    return ok('node', `Node.js ${process.versions.node}`)
  return failed('node', `Node.js ${process.versions.node} is too old`, 'Install 20.19 or newer')
}

/** Reads the limit of Linux; there is none to read elsewhere. */
async function checkFiles({ maxHttpConnections, maxTotalConnections }: Config): Promise<Check[]> {
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '')
  const limit = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Infinity)
  const needed = maxHttpConnections + maxTotalConnections + OTHER_FILES
  if (limit >= needed)
    return [ok('files', `${limit} open files are allowed, ${needed} needed at most`)]
  return [
    warning(
      'files',
      `${limit} open files are allowed, but MAX_HTTP_CONNECTIONS and MAX_TOTAL_CONNECTIONS may need ${needed}`,
      `Raise the limit (LimitNOFILE=${needed} of systemd, ulimit -n), or lower MAX_HTTP_CONNECTIONS`,
    ),
  ]
}

/** Looks whether a folder, or the one that it would be made in, can be written and has room. */
async function checkFolder(setting: string, path: string): Promise<Check> {
  let there = path
  for (;;) {
    try {
      await access(there, constants.W_OK)
      break
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      const isMissing = code === 'ENOENT' && there !== dirname(there)
      if (!isMissing) {
        return failed(
          setting,
          message,
          `Give the user of the gateway the right to write in ${there}`,
        )
      }
      there = dirname(there)
    }
  }
  return checkRoom(setting, there)
}

/** Looks how much of the disk of a folder is free. */
export async function checkRoom(name: string, path: string): Promise<Check> {
  const { bavail, bsize } = await statfs(path)
  const free = bavail * bsize
  const says = `${(free / 1024 ** 3).toFixed(1)} GiB free in ${path}`
  if (free >= LEAST_BYTES) return ok(name, says)
  return warning(name, says, 'Make room: PostgreSQL stops when its disk is full')
}
