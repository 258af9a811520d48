import { type ChildProcessWithoutNullStreams, execFile, spawn } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { type Credentials, type Server, TOOL } from './hosts/server.ts'
import { withTemporaryFolder, writeTemporary } from './temporary-folder.ts'

const run = promisify(execFile)

/** Programs of PostgreSQL that the gateway runs. */
export type PgTool = 'pg_dump' | 'pg_restore'

/** Folders in which packages install the programs of a major version; searched before PATH. */
const FOLDERS = (major: number) => [
  `/usr/lib/postgresql/${major}/bin`,
  `/usr/pgsql-${major}/bin`,
  `/usr/libexec/postgresql${major}`,
  `/opt/homebrew/opt/postgresql@${major}/bin`,
]

/** Number of later major versions whose folders are searched. */
const LATER = 5

/** Time limit of `--version`. */
const VERSION_LIMIT_MS = 10_000

/** Time that a program has to end after SIGTERM, upon which it cancels its query. */
const TERM_LIMIT_MS = 5000

/** Maximum length of a program's standard error that is kept. */
const MAX_ERROR = 2000

/**
 * Returns the path of a program whose major version is `major` or, if there is none, of the next
 * later one that is installed; undefined if none is.
 */
export async function findPgTool(tool: PgTool, major: number): Promise<string | undefined> {
  const later = Array.from({ length: LATER }, (_, i) => FOLDERS(major + 1 + i)).flat()
  const path = (process.env.PATH ?? '').split(delimiter).filter((one) => one !== '')
  let best: { path: string; major: number } | undefined
  for (const folder of new Set([...FOLDERS(major), ...path, ...later])) {
    const found = { path: join(folder, tool), major: await majorOf(join(folder, tool)) }
    if (found.major === major) return found.path
    if (found.major > major && !(best && best.major <= found.major)) best = found
  }
  return best?.path
}

/** Returns the major version of a program; 0 if it does not exist or does not run. */
export async function majorOf(path: string): Promise<number> {
  try {
    await access(path, constants.X_OK)
    const { stdout } = await run(path, ['--version'], { timeout: VERSION_LIMIT_MS })
    return Number(/\(PostgreSQL\) (\d+)/.exec(stdout)?.[1] ?? 0)
  } catch {
    return 0
  }
}

/** The database that a program works in. */
export interface ToolTarget {
  server: Server
  /** Role to connect as; undefined for the server's own role. */
  credentials: Credentials | undefined
  database: string
}

/** A run of a program. */
export interface ToolRun {
  /** Path of the program. */
  path: string
  options: string[]
  /** Undefined for a program that connects to no database. */
  target: ToolTarget | undefined
  /** Ends the program when it is aborted; the run then rejects with its reason. */
  signal?: AbortSignal | undefined
  /** Which end of a long standard error is kept. */
  keeps: 'first' | 'last'
}

/** Failure of a program: what it wrote to standard error, without paths of this machine. */
export class ToolError extends Error {
  override readonly name = 'ToolError'
}

/**
 * Runs a program while `work` uses its pipes. Passwords are in its environment, never on its command
 * line.
 * @param work a failure ends the program. Its second argument resolves when the program has ended.
 * @throws {ToolError} if the program fails; TemporaryFolderError; else the error of `work`
 */
export async function runTool(
  { path, options, target, signal, keeps }: ToolRun,
  work: (program: ChildProcessWithoutNullStreams, ended: Promise<void>) => Promise<void>,
): Promise<void> {
  signal?.throwIfAborted()
  await withTemporaryFolder(async (folder) => {
    const env = target ? await environment(target, folder) : { LC_ALL: 'C' }
    const program = spawn(path, options, { env, stdio: 'pipe' })
    // The program may end without reading its input.
    program.stdin.on('error', () => {})
    const stderr = collect(program, keeps)
    let isStopped = false
    const stop = () => {
      isStopped = true
      stopProgram(program)
    }
    signal?.addEventListener('abort', stop, { once: true })
    const closed = new Promise<string | undefined>((resolve, reject) => {
      program.on('error', reject)
      program.on('close', (code, by) => {
        if (code === 0) return resolve(undefined)
        resolve(stderr() || `it ended with ${by ?? `status ${code}`}`)
      })
    })
    const ended = closed.then(
      () => {},
      () => {},
    )
    const working = work(program, ended).catch((error) => {
      stop()
      throw error
    })
    const [failure, worked] = await Promise.allSettled([closed, working])
    signal?.removeEventListener('abort', stop)
    signal?.throwIfAborted()
    if (failure.status === 'rejected') throw failure.reason
    const isOwn = failure.value !== undefined && !isStopped
    if (isOwn) throw new ToolError(withoutPaths(failure.value!, folder, target))
    if (worked.status === 'rejected') throw worked.reason
  })
}

/** Returns a function that returns the standard error so far, at most MAX_ERROR characters of it. */
function collect(program: ChildProcessWithoutNullStreams, keeps: 'first' | 'last'): () => string {
  let said = ''
  program.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = keeps === 'last' ? (said + text).slice(-MAX_ERROR) : (said + text).slice(0, MAX_ERROR)
  })
  return () => said.trim()
}

/** Ends a program: with SIGTERM first, on which it cancels its query. */
function stopProgram(program: ChildProcessWithoutNullStreams): void {
  program.kill('SIGTERM')
  const timer = setTimeout(() => program.kill('SIGKILL'), TERM_LIMIT_MS).unref()
  program.once('close', () => clearTimeout(timer))
  // It may wait for its output to be read.
  program.stdout.destroy()
  program.stdin.destroy()
}

/** Removes the folder of the certificates and that of the server's socket. */
function withoutPaths(text: string, folder: string, target: ToolTarget | undefined): string {
  const hosts = target ? [target.server, ...target.server.others].map(({ host }) => host) : []
  const paths = [folder, ...hosts.filter((host) => host.startsWith('/'))]
  return paths.reduce((shorter, path) => shorter.replaceAll(path, '…'), text)
}

/**
 * Returns the environment variables for libpq's connection (PostgreSQL manual, "Environment
 * Variables"). Writes the certificates and the key into files in `folder`.
 */
async function environment(
  { server, credentials, database }: ToolTarget,
  folder: string,
): Promise<Record<string, string>> {
  const { user, password } = credentials ?? server
  const hosts = [server, ...server.others]
  const env: Record<string, string> = {
    PATH: process.env.PATH ?? '',
    LC_ALL: 'C',
    PGHOST: hosts.map(({ host }) => host).join(','),
    PGPORT: hosts.map(({ port }) => port).join(','),
    PGTARGETSESSIONATTRS: server.sessionAttrs,
    PGUSER: user,
    PGPASSWORD: password,
    PGDATABASE: database,
    PGAPPNAME: server.applicationName + TOOL,
    PGSSLMODE: server.sslMode,
  }
  const files = [
    ['PGSSLROOTCERT', server.ca],
    ['PGSSLCERT', server.cert],
    ['PGSSLKEY', server.key],
  ] as const
  // Without a CA file, libpq has to use the system's certificates, as the gateway does.
  const isChecked = server.sslMode.startsWith('verify')
  if (isChecked && server.ca === undefined) env.PGSSLROOTCERT = 'system'
  for (const [name, text] of files) {
    if (text === undefined) continue
    env[name] = join(folder, name)
    await writeTemporary(env[name], text)
  }
  return env
}
