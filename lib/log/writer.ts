import { fstatSync } from 'node:fs'

/** Destination of lines; `isTTY` says that it is a terminal. */
export interface LogTarget {
  write(text: string): unknown
  isTTY?: boolean
}

/** Called when the process exits, in order; each may write. */
const atExit = new Set<() => void>()
process.once('exit', () => {
  for (const end of atExit) end()
})

/** Calls `end` when the process exits; returns a function that takes that back. */
export function onExit(end: () => void): () => void {
  atExit.add(end)
  return () => atExit.delete(end)
}

/** Returns a function that writes lines; those of one turn of the event loop are written together. */
export function bufferedWriter(target: LogTarget): (line: string) => void {
  let buffer = ''
  const flush = () => {
    const text = buffer
    buffer = ''
    atExit.delete(flush)
    if (text !== '') target.write(text)
  }
  return (line) => {
    if (buffer === '') {
      atExit.add(flush)
      setImmediate(flush)
    }
    buffer += `${line}\n`
  }
}

/** Priorities of syslog, which the journal reads from the beginning of a line (sd-daemon(3)). */
const PRIORITIES: Record<string, string> = { error: '<3>', warn: '<4>', info: '<6>' }

/** Returns what the journal is told before a line of this level; it does not keep it. */
export function priorityOf(level: string): string {
  return PRIORITIES[level] ?? '<7>'
}

/** Returns a function that gives a line the number of its worker: a member of JSON, or before a text. */
export function numberLine(worker: number): (line: string) => string {
  return (line) => {
    if (!line.startsWith('{')) return `[${worker}] ${line}`
    const name = line.startsWith('{"@') ? 'db_gateway.worker' : 'worker'
    return `{"${name}":${worker},${line.slice(1)}`
  }
}

/** Whether standard output goes to systemd's journal: JOURNAL_STREAM names its device and inode. */
export function isJournal(journalStream: string | undefined): boolean {
  if (journalStream === undefined) return false
  try {
    const { dev, ino } = fstatSync(1, { bigint: true })
    return journalStream === `${dev}:${ino}`
  } catch {
    return false
  }
}
