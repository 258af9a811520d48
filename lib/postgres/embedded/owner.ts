import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { errorCode } from './files.ts'
import { processStart } from './processes.ts'

/** Record of the gateway that uses a data folder. */
export interface Owner {
  pid: number
  /** Start of the process, see {@link processStart}. */
  start: string
  /** Folder of the server's socket; the next gateway removes it if this one was killed. */
  socketDir: string
}

/**
 * Takes the data folder for this process, also from a gateway that has ended without releasing it.
 * @returns the record of that earlier gateway, if there is one
 * @throws {Error} if a running gateway uses the folder
 */
export async function takeOwnership(file: string, socketDir: string): Promise<Owner | undefined> {
  const mine: Owner = { pid: process.pid, start: processStart(process.pid) ?? '', socketDir }
  const draft = `${file}.${basename(socketDir)}`
  await writeFile(draft, `${JSON.stringify(mine)}\n`, { mode: 0o600 })
  try {
    return await place(draft, file)
  } finally {
    await rm(draft, { force: true })
  }
}

/** Releases the data folder if this process owns it. */
export async function releaseOwnership(file: string, socketDir: string): Promise<void> {
  const owner = parseOwner(await readFile(file, 'utf8').catch(() => ''))
  if (owner?.pid === process.pid && owner.socketDir === socketDir) await rm(file, { force: true })
}

async function place(draft: string, file: string): Promise<Owner | undefined> {
  let previous: Owner | undefined
  for (let attempt = 0; attempt < 10; attempt++) {
    // link(2) creates the file with its content, and fails if it exists: no reader sees half of it.
    const placed = await link(draft, file).then(
      () => true,
      (error) => {
        if (errorCode(error) !== 'EEXIST') throw error
        return false
      },
    )
    if (placed) return previous
    previous = (await removeStale(file, `${draft}.stale`)) ?? previous
  }
  throw new Error(`Other gateways are starting on ${file}: try again`)
}

async function removeStale(file: string, aside: string): Promise<Owner | undefined> {
  const seen = await readFile(file, 'utf8').catch(() => '')
  const owner = parseOwner(seen)
  if (owner && processStart(owner.pid) === owner.start) {
    throw new Error(
      `The data folder is in use by the gateway with pid ${owner.pid} (${file}): ` +
        `stop that one, or set DATA_DIR to another folder`,
    )
  }
  // Several gateways may find the same stale record; rename(2) lets only one move it. A slow
  // one may move the new record of a faster one: it sees that by the content and puts it back.
  await rename(file, aside).catch(() => undefined)
  const moved = await readFile(aside, 'utf8').catch(() => seen)
  if (moved !== seen) await link(aside, file).catch(() => undefined)
  await rm(aside, { force: true })
  return owner
}

function parseOwner(text: string): Owner | undefined {
  try {
    const { pid, start, socketDir } = JSON.parse(text) as Owner
    const whole = Number.isInteger(pid) && pid > 0 && typeof start === 'string'
    return whole ? { pid, start, socketDir: `${socketDir}` } : undefined
  } catch {
    return undefined
  }
}
