/**
 * Returns the entry of `offered` that an Accept or Accept-Encoding header prefers (RFC 9110,
 * 12.4.2): the one with the highest quality, or of equals the one that the header names first.
 * Without a header the first of `offered`; undefined if the client accepts none of them.
 */
export function preferred<T extends string>(
  header: string | undefined,
  offered: readonly T[],
): T | undefined {
  if (header === undefined) return offered[0]
  let best: T | undefined
  let bestQuality = 0
  const ranges = parseRanges(header)
  const isNamed = (one: T) => ranges.some(({ range }) => range === one)
  for (const { range, quality } of ranges) {
    const matched = offered.find((one) => matches(range, one) && (range === one || !isNamed(one)))
    if (matched === undefined || quality <= bestQuality) continue
    best = matched
    bestQuality = quality
  }
  return best
}

interface Range {
  range: string
  quality: number
}

function parseRanges(header: string): Range[] {
  return header.split(',').map((part) => {
    const [range = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase())
    const quality = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2)
    return { range, quality: quality === undefined ? 1 : Number(quality) || 0 }
  })
}

/** Whether the range covers the type; `*`, `*` + `/*` and `text/*` cover several. */
function matches(range: string, one: string): boolean {
  if (range === one || range === '*' || range === '*/*') return true
  return range.endsWith('/*') && one.startsWith(range.slice(0, -1))
}
