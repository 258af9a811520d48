/** A line of a difference: taken away, added, or the same in both texts. */
export interface DiffLine {
  kind: '-' | '+' | ' '
  text: string
}

/**
 * Compares two texts by lines: their longest common subsequence stays, what is around it is taken
 * away or added. Beyond `maxLines` between the first and the last difference, all of it is. Time
 * and memory grow with the square of that.
 */
export function diffLines(before: string, after: string, maxLines = 2000): DiffLine[] {
  const [old, current] = [linesOf(before), linesOf(after)]
  let start = 0
  while (start < old.length && start < current.length && old[start] === current[start]) start++
  let end = 0
  const most = Math.min(old.length, current.length) - start
  while (end < most && old.at(-1 - end) === current.at(-1 - end)) end++
  const between = (lines: string[]) => lines.slice(start, lines.length - end)
  const same = (text: string): DiffLine => ({ kind: ' ', text })
  return [
    ...old.slice(0, start).map(same),
    ...compare(between(old), between(current), maxLines),
    ...old.slice(old.length - end).map(same),
  ]
}

function linesOf(text: string): string[] {
  return text === '' ? [] : text.replace(/\n$/, '').split('\n')
}

function compare(old: string[], current: string[], maxLines: number): DiffLine[] {
  const removed = (text: string): DiffLine => ({ kind: '-', text })
  const added = (text: string): DiffLine => ({ kind: '+', text })
  const isTrivial = old.length === 0 || current.length === 0
  if (isTrivial || Math.max(old.length, current.length) > maxLines) {
    return [...old.map(removed), ...current.map(added)]
  }
  // lengths[i][j]: of the common subsequence of what follows line i and line j.
  const lengths = Array.from({ length: old.length + 1 }, () => new Uint16Array(current.length + 1))
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = current.length - 1; j >= 0; j--) {
      lengths[i]![j] =
        old[i] === current[j]
          ? lengths[i + 1]![j + 1]! + 1
          : Math.max(lengths[i + 1]![j]!, lengths[i]![j + 1]!)
    }
  }
  const lines: DiffLine[] = []
  let [i, j] = [0, 0]
  while (i < old.length && j < current.length) {
    if (old[i] === current[j]) {
      lines.push({ kind: ' ', text: old[i]! })
      i++
      j++
    } else if (lengths[i + 1]![j]! >= lengths[i]![j + 1]!) lines.push(removed(old[i++]!))
    else lines.push(added(current[j++]!))
  }
  return [...lines, ...old.slice(i).map(removed), ...current.slice(j).map(added)]
}

/** Keeps `context` lines around each change; a line of kind ' ' with '…' stands for what is left out. */
export function withContext(lines: DiffLine[], context = 2): DiffLine[] {
  const isNear = lines.map((_, i) =>
    lines.slice(Math.max(0, i - context), i + context + 1).some(({ kind }) => kind !== ' '),
  )
  return lines.flatMap((line, i) => {
    if (isNear[i]) return [line]
    return i > 0 && isNear[i - 1] && isNear.includes(true, i) ? [{ kind: ' ', text: '…' }] : []
  })
}
