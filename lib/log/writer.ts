import { fstatSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { LineBuffer } from './line-buffer.ts'

/** Destination of lines; `isTTY` says that it is a terminal. */
export interface LogTarget {
  write(text: string): unknown
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
 * Returns a function that gives the buffer for the next line, which ends with a line break. It is written
 * after the turn of the event loop, or may wait so many milliseconds; the lines until then are written
 * together.
 */
export function bufferedWriter(target: LogTarget): (waitMs?: number) => LineBuffer {
  const lines = new LineBuffer()
  let waiting: NodeJS.Timeout | undefined
  let isDue = false
  const flush = () => {
    forget(flush)
    clearTimeout(waiting)
    waiting = undefined
    isDue = false
    if (!lines.isEmpty) target.write(lines.take())
  }
  return (waitMs = 0) => {
    if (lines.isEmpty) atExit.push(flush)
    if (isDue) return lines
    if (waitMs === 0) {
      isDue = true
      setImmediate(flush)
    } else waiting ??= setTimeout(flush, waitMs)
    return lines
  }
}

/**
 * Resolves when a stream has taken all lines: what it has not taken when the process exits is lost.
 * @param waitMs as long as a line may wait
 */
export async function allTaken(stream: NodeJS.WritableStream, waitMs: number): Promise<void> {
  await sleep(waitMs + 1)
  await new Promise<void>((resolve) => stream.write('', () => resolve()))
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
