/**
 * Computes the optimal string alignment distance: insertions, deletions, substitutions and swaps of
 * neighbours. Returns undefined if it exceeds `limit`.
 */
export function editDistance(a: string, b: string, limit: number): number | undefined {
  if (Math.abs(a.length - b.length) > limit) return undefined
  const width = b.length + 1
  let beforeLast = new Uint8Array(width)
  let last = new Uint8Array(width).map((_, j) => j)
  let row = new Uint8Array(width)
  for (let i = 1; i <= a.length; i++) {
    row[0] = i
    let nearest = i
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1
      let least = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + change)
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (isSwapped) least = Math.min(least, beforeLast[j - 2]! + 1)
      row[j] = least
      nearest = Math.min(nearest, least)
    }
    if (nearest > limit) return undefined
    ;[beforeLast, last, row] = [last, row, beforeLast]
  }
  return last[b.length]! <= limit ? last[b.length] : undefined
}
