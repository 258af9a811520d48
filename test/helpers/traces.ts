import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Returns the forms in which a text of ASCII letters and digits may appear: as it is (also its form
 * in URLs and JSON), in hexadecimal, and in Base64 at each of the three possible offsets.
 */
function formsOf(secret: string): string[] {
  const inBase64 = [0, 1, 2].map((shift) => {
    const bytes = Buffer.from('-'.repeat(shift) + secret)
    return bytes
      .toString('base64url')
      .slice(Math.ceil((shift * 8) / 6), Math.floor((bytes.length * 8) / 6))
  })
  return [secret, Buffer.from(secret).toString('hex'), ...inBase64]
}

/**
 * Returns the secrets that the text contains in some form; each is letters and digits, and a part
 * of a real secret.
 */
export function tracesOf(secrets: string[], text: string | Buffer): string[] {
  return secrets.filter((secret) => formsOf(secret).some((form) => text.includes(form)))
}

/** Returns the files below a folder that contain a secret, with path and mode. */
export async function filesWithTraces(
  secrets: string[],
  folder: string,
): Promise<{ path: string; mode: number }[]> {
  const found: { path: string; mode: number }[] = []
  for (const path of await filesBelow(folder)) {
    const bytes = await readFile(path).catch(nothingIfGone(undefined))
    if (!bytes || tracesOf(secrets, bytes).length === 0) continue
    found.push({ path, mode: (await stat(path)).mode & 0o777 })
  }
  return found
}

/** Lists files folder by folder, because the running server drops databases in the meantime. */
async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(nothingIfGone([]))
  const paths = entries.map((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return filesBelow(path)
    return entry.isFile() ? [path] : []
  })
  return (await Promise.all(paths)).flat()
}

/**
 * Returns what other users can see of a process and its descendants: command lines, thread names,
 * and the environment of the descendants.
 */
export async function visibleTo(pid: number): Promise<{ pids: number[]; text: string }> {
  const pids = [pid, ...(await descendants(pid))]
  const texts = pids.map(async (one) => {
    const commandLine = await readIfThere(`/proc/${one}/cmdline`)
    // The gateway's own environment is the one it was started with, and so is that of esbuild,
    // which tsx starts before the gateway runs; only their user can read either.
    const isOwn = one === pid || commandLine.includes('esbuild')
    const environment = isOwn ? '' : await readIfThere(`/proc/${one}/environ`)
    return [commandLine, environment, await namesOfThreads(one)].join('\n')
  })
  return { pids, text: (await Promise.all(texts)).join('\n') }
}

async function namesOfThreads(pid: number): Promise<string> {
  const threads = await readdir(`/proc/${pid}/task`).catch(nothingIfGone([]))
  const names = threads.map((thread) => readIfThere(`/proc/${pid}/task/${thread}/comm`))
  return (await Promise.all(names)).join('\n')
}

/** Returns the file's text, or '' if its process has exited: PostgreSQL's processes come and go. */
function readIfThere(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(nothingIfGone(''))
}

/**
 * Returns `nothing` if a process has exited: proc(5) gives ESRCH if it exits between open and read.
 */
function nothingIfGone<T>(nothing: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code !== 'ENOENT' && error.code !== 'ESRCH') throw error
    return nothing
  }
}

async function descendants(pid: number): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const parents = new Map<number, number>()
  for (const one of pids) {
    const text = await readIfThere(`/proc/${one}/stat`)
    // proc(5): the name in parentheses may contain spaces; state and parent follow it.
    parents.set(Number(one), Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]))
  }
  const below = (parent: number): number[] =>
    [...parents].filter(([, of]) => of === parent).flatMap(([one]) => [one, ...below(one)])
  return below(pid)
}
