/**
 * What a client prefers among `offered`, the first of which it gets where it does not care: the
 * highest quality in an Accept or Accept-Encoding header (RFC 9110, 12.4.2); of equals, the one that
 * it names first. Undefined where it wants none of them.
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

/** `*`, `*` + `/*` and `text/*` stand for more than one. */
function matches(range: string, one: string): boolean {
  if (range === one || range === '*' || range === '*/*') return true
  return range.endsWith('/*') && one.startsWith(range.slice(0, -1))
}
