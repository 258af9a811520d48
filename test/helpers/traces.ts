import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * What a text of ASCII letters and digits looks like wherever it may have got to: as it is, which is
 * percent-encoded and escaped for JSON as well, in hexadecimal, and in Base64, where it depends on
 * what is before it.
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

/** Which of the secrets the text tells; each is letters and digits, and a part of the real one. */
export function tracesOf(secrets: string[], text: string | Buffer): string[] {
  return secrets.filter((secret) => formsOf(secret).some((form) => text.includes(form)))
}

/** The files below a folder that tell a secret: path and mode. */
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

/** Folder by folder, since the server at work drops databases meanwhile. */
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
 * What is to be seen of a process and of all that it has started: command lines, names of threads,
 * and what those that it has started know of its environment.
 */
export async function visibleTo(pid: number): Promise<{ pids: number[]; text: string }> {
  const pids = [pid, ...(await descendants(pid))]
  const texts = pids.map(async (one) => {
    const commandLine = await readIfThere(`/proc/${one}/cmdline`)
    // Its own environment is what it was started with, and so is that of the compiler, which tsx
    // starts before the gateway runs; nobody but their user can read either.
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

/** Processes of PostgreSQL come and go. */
function readIfThere(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(nothingIfGone(''))
}

/** proc(5): ESRCH where the process ends between opening and reading. */
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
    // proc(5): the name in parentheses may have spaces in it; after it, state and parent.
    parents.set(Number(one), Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]))
  }
  const below = (parent: number): number[] =>
    [...parents].filter(([, of]) => of === parent).flatMap(([one]) => [one, ...below(one)])
  return below(pid)
}
