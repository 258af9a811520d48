import { setImmediate as nextTurn } from 'node:timers/promises'
import { type DiffLine, diffLines } from '../common/diff-lines.ts'
import { type SchemaArchive, SECTIONS } from './archive.ts'

/** A file in which two archives differ. */
export interface FileChange {
  /** Path below postgresql/. */
  path: string
  change: 'added' | 'removed' | 'changed'
  /** Numbers of lines. */
  lines_added: number
  lines_removed: number
  /** Unified diff without its two lines of file names; null if the answer would be too long with it. */
  diff: string | null
}

/** Lines without a change around one. */
const CONTEXT = 3

/** Differing lines of one file that are compared with each other; more block the event loop. */
const MAX_COMPARED = 800

/** Characters of all diffs together. */
const MAX_LENGTH = 2 * 1024 * 1024

/** Returns what has to be changed in one archive to get the other, in the order of a deploy. */
export async function changesBetween(
  from: SchemaArchive | undefined,
  to: SchemaArchive,
): Promise<FileChange[]> {
  const changes: FileChange[] = []
  let left = MAX_LENGTH
  for (const section of SECTIONS) {
    const old = textsOf(from?.files[section])
    const current = textsOf(to.files[section])
    for (const path of new Set([...current.keys(), ...old.keys()])) {
      const [was, is] = [old.get(path), current.get(path)]
      if (was === is) continue
      const lines = diffLines(was ?? '', is ?? '', MAX_COMPARED)
      const diff = unified(lines)
      left -= diff.length
      changes.push({
        path,
        change: was === undefined ? 'added' : is === undefined ? 'removed' : 'changed',
        lines_added: count(lines, '+'),
        lines_removed: count(lines, '-'),
        diff: left < 0 ? null : diff,
      })
      await nextTurn()
    }
  }
  return changes
}

function textsOf(files: { path: string; text: string }[] = []): Map<string, string> {
  return new Map(files.map(({ path, text }) => [path, text]))
}

function count(lines: DiffLine[], kind: DiffLine['kind']): number {
  return lines.filter((line) => line.kind === kind).length
}

/** Returns lines as a unified diff: hunks of changes with some lines around them. */
export function unified(lines: DiffLine[]): string {
  let text = ''
  let [before, after] = [1, 1]
  for (let at = 0; at < lines.length; ) {
    const end = endOfHunk(lines, at)
    if (end === undefined) break
    const begin = Math.max(at, lines.findIndex((line, i) => i >= at && line.kind !== ' ') - CONTEXT)
    // What is left out is in both.
    before += begin - at
    after += begin - at
    const hunk = lines.slice(begin, end)
    const old = hunk.length - count(hunk, '+')
    const current = hunk.length - count(hunk, '-')
    text += `@@ -${range(before, old)} +${range(after, current)} @@\n`
    for (const line of hunk) text += `${line.kind}${line.text}\n`
    before += old
    after += current
    at = end
  }
  return text
}

/** Where the hunk ends that has the next change; undefined if there is none. */
function endOfHunk(lines: DiffLine[], from: number): number | undefined {
  let last: number | undefined
  for (let i = from; i < lines.length; i++) {
    if (lines[i]!.kind !== ' ') last = i
    else if (last !== undefined && i - last > 2 * CONTEXT) break
  }
  return last === undefined ? undefined : Math.min(lines.length, last + 1 + CONTEXT)
}

/** An empty range is told by the line before it (GNU diffutils manual, "Detailed Unified"). */
function range(start: number, length: number): string {
  if (length === 0) return `${start - 1},0`
  return length === 1 ? `${start}` : `${start},${length}`
}
