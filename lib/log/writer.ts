import { fstatSync } from 'node:fs'
import { LineBuffer } from './line-buffer.ts'

/** Destination of lines, as streams are; `isTTY` says that it is a terminal. */
export interface LogTarget {
  write(text: string, done?: () => void): unknown
  /** Bytes that could not be written yet. */
  writableLength?: number
  isTTY?: boolean
}

/**
 * Called when the process exits, in order; each may write. Not a set: V8 makes the table of a set anew
 * every few changes.
 */
const atExit: (() => void)[] = []
process.once('exit', () => {
  while (atExit.length > 0) atExit.shift()!()
})

/** Calls `end` when the process exits; returns a function that takes that back. */
export function onExit(end: () => void): () => void {
  atExit.push(end)
  return () => forget(end)
}

function forget(end: () => void): void {
  const at = atExit.indexOf(end)
  if (at >= 0) atExit.splice(at, 1)
}

/**
 * Returns a function that gives the buffer for the next line, which ends with a line break; the lines of
 * one turn of the event loop are written together.
 */
export function bufferedWriter(write: (lines: string) => void): () => LineBuffer {
  const lines = new LineBuffer()
  const flush = () => {
    forget(flush)
    if (!lines.isEmpty) write(lines.take())
  }
  return () => {
    if (lines.isEmpty) {
      atExit.push(flush)
      setImmediate(flush)
    }
    return lines
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
