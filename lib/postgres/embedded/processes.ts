import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const HAS_PROC = process.platform === 'linux'

/**
 * Returns an identifier of a running process that no other process with the same pid shares: its
 * boot and start time. Undefined if there is no such process or it is a zombie.
 */
export function processStart(pid: number): string | undefined {
  return HAS_PROC ? startFromProc(pid) : startFromPs(pid)
}

function startFromProc(pid: number): string | undefined {
  const stat = read(`/proc/${pid}/stat`)
  if (!stat) return undefined
  // The second field is the program's name in parentheses; the name may contain spaces and
  // parentheses, see proc_pid_stat(5).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  // A zombie. In a container the parent may be a first process that never reaps its children.
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined
  return `${read('/proc/sys/kernel/random/boot_id')?.trim()} ${fields[19]}`
}

function startFromPs(pid: number): string | undefined {
  const [state, ...start] = (ps(pid, 'stat=,lstart=') ?? '').trim().split(/\s+/)
  return !state || state.startsWith('Z') ? undefined : start.join(' ')
}

/** Whether the process with this pid is a PostgreSQL process of this cluster. */
export function isServerOf(pid: number, cluster: string): boolean {
  if (!processStart(pid)) return false
  if (!HAS_PROC) return (ps(pid, 'command=') ?? '').includes(` -D ${cluster}`)
  // PostgreSQL's working folder is its cluster. The inode still matches if the folder was moved.
  return read(`/proc/${pid}/comm`)?.trim() === 'postgres' && isSame(`/proc/${pid}/cwd`, cluster)
}

/** Returns the pids of all PostgreSQL processes of this cluster; always empty on macOS. */
export function findServersOf(cluster: string): number[] {
  if (!HAS_PROC) return []
  const pids = readdirSync('/proc').map(Number).filter(Number.isInteger)
  return pids.filter((pid) => isServerOf(pid, cluster))
}

/**
 * Ends a PostgreSQL server: fast shutdown, after 20 s immediate shutdown, after 5 s more SIGKILL.
 * https://www.postgresql.org/docs/18/server-shutdown.html
 * @throws {Error} if the process is still there 5 s after SIGKILL
 */
export async function endServer(pid: number, isGone: () => boolean): Promise<void> {
  const steps = [
    ['SIGINT', 20_000],
    ['SIGQUIT', 5_000],
    ['SIGKILL', 5_000],
  ] as const
  for (const [signal, patience] of steps) {
    if (isGone()) return
    sendSignal(pid, signal)
    const deadline = performance.now() + patience
    while (!isGone() && performance.now() < deadline) await sleep(20)
  }
  if (isGone()) return
  throw new Error(`The PostgreSQL server with pid ${pid} did not end after SIGKILL`)
}

/** Sends a signal; does nothing if the process has ended. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Whether this user may signal a process with this pid; true for a zombie, too. */
export function mayBeSignalled(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

function isSame(a: string, b: string): boolean {
  try {
    const [x, y] = [statSync(a), statSync(b)]
    return x.dev === y.dev && x.ino === y.ino
  } catch {
    return false
  }
}

function ps(pid: number, format: string): string | undefined {
  try {
    return execFileSync('ps', ['-o', format, '-p', `${pid}`], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  } catch {
    return undefined
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
