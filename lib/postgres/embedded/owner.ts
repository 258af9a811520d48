import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { errorCode } from './files.ts'
import { processStart } from './processes.ts'

/** The gateway that uses a data folder. */
export interface Owner {
  pid: number
  /** See {@link processStart}. */
  start: string
  /** The folder of its server's socket, so that it can be removed if the gateway was killed. */
  socketDir: string
}

/**
 * Takes a data folder for this process, from a gateway that is gone if need be, whose record it
 * returns.
 *
 * @throws if a running gateway has it.
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

/** Gives the data folder back, if it is this process that has it. */
export async function releaseOwnership(file: string, socketDir: string): Promise<void> {
  const owner = parseOwner(await readFile(file, 'utf8').catch(() => ''))
  if (owner?.pid === process.pid && owner.socketDir === socketDir) await rm(file, { force: true })
}

async function place(draft: string, file: string): Promise<Owner | undefined> {
  let previous: Owner | undefined
  for (let attempt = 0; attempt < 10; attempt++) {
    // A link appears whole and only where there is nothing yet, unlike a file that is written.
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
  // Of several gateways that find the same stale record only one moves it, and one that was slow
  // notices by the content that it has moved the record of a faster one: it gives that back.
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
