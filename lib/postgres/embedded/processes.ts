import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const HAS_PROC = process.platform === 'linux'

/**
 * What tells a running process from any other that has, had or will have its pid: the boot and the
 * moment it started at. Undefined if there is no such process, or only what is left of an ended one.
 */
export function processStart(pid: number): string | undefined {
  return HAS_PROC ? startFromProc(pid) : startFromPs(pid)
}

function startFromProc(pid: number): string | undefined {
  const stat = read(`/proc/${pid}/stat`)
  if (!stat) return undefined
  // The second field is the program's name in parentheses and may itself hold spaces and
  // parentheses, see proc_pid_stat(5).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  // A zombie: PostgreSQL's parent may be a container's first process, which may never collect it.
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined
  return `${read('/proc/sys/kernel/random/boot_id')?.trim()} ${fields[19]}`
}

function startFromPs(pid: number): string | undefined {
  const [state, ...start] = (ps(pid, 'stat=,lstart=') ?? '').trim().split(/\s+/)
  return !state || state.startsWith('Z') ? undefined : start.join(' ')
}

/** Whether the process is a PostgreSQL process of this cluster, and no other that has its pid now. */
export function isServerOf(pid: number, cluster: string): boolean {
  if (!processStart(pid)) return false
  if (!HAS_PROC) return (ps(pid, 'command=') ?? '').includes(` -D ${cluster}`)
  // PostgreSQL works inside its cluster; the inode holds also where that has another path by now.
  return read(`/proc/${pid}/comm`)?.trim() === 'postgres' && isSame(`/proc/${pid}/cwd`, cluster)
}

/** The PostgreSQL processes of this cluster; none where the system does not tell (macOS). */
export function findServersOf(cluster: string): number[] {
  if (!HAS_PROC) return []
  const pids = readdirSync('/proc').map(Number).filter(Number.isInteger)
  return pids.filter((pid) => isServerOf(pid, cluster))
}

/**
 * Ends a PostgreSQL server: a fast shutdown, then an immediate one, then by force.
 * https://www.postgresql.org/docs/18/server-shutdown.html
 *
 * @throws if even that did not end it.
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
  throw new Error(`The PostgreSQL server with pid ${pid} cannot be stopped`)
}

/** Sends a signal; a process that has already ended is no error. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Whether there is a process with this pid, be it a zombie, that this user may send signals to. */
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
