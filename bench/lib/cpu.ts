import { readdirSync, readFileSync } from 'node:fs'

/** Linux counts the CPU time of a process in hundredths of a second, whatever its clock does. */
const TICKS_PER_SECOND = 100

/** Seconds of CPU, of a process itself and of its children that have ended. */
interface CpuTime {
  parent: number
  own: number
  children: number
}

/** CPU seconds of a process so far; NaN where there is no /proc. */
export function ownCpu(pid: number): number {
  return read(pid)?.own ?? Number.NaN
}

/** CPU seconds of all programs that this process started and that have ended. */
export function endedCpu(): number {
  return read(process.pid)?.children ?? Number.NaN
}

/** CPU seconds of PostgreSQL, or of a gateway with its workers: all processes, also those that have ended. */
export function serverCpu(postmaster: number): number {
  const itself = read(postmaster)
  if (!itself) return Number.NaN
  let sum = itself.own + itself.children
  for (const name of readdirSync('/proc')) {
    const time = /^\d+$/.test(name) ? read(Number(name)) : undefined
    if (time?.parent === postmaster) sum += time.own
  }
  return sum
}

/** Resident memory of a process, in bytes; NaN where there is no /proc. */
export function residentMemory(pid: number): number {
  return memoryOf(pid, /VmRSS:\s+(\d+)/)
}

/** The most that a process has ever had of it. */
export function peakMemory(pid: number): number {
  return memoryOf(pid, /VmHWM:\s+(\d+)/)
}

function memoryOf(pid: number, what: RegExp): number {
  try {
    const kilobytes = what.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return Number(kilobytes) * 1024
  } catch {
    return Number.NaN
  }
}

/** Of /proc/<pid>/stat: ppid, utime + stime, cutime + cstime (proc(5)). */
function read(pid: number): CpuTime | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  // The second field is the program's name in parentheses, which may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const at = (number: number) => Number(fields[number - 3])
  return {
    parent: at(4),
    own: (at(14) + at(15)) / TICKS_PER_SECOND,
    children: (at(16) + at(17)) / TICKS_PER_SECOND,
  }
}
