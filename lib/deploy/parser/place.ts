/** A place in a file. */
export interface Place {
  /** From 1. */
  line: number
  /** The text of the line; of a long one, such as that of data, what is around the place. */
  source: string
  /** Blanks and `^`, to stand below the source. */
  caret: string
}

/** Returns the place of an offset, in UTF-16 units, in a text whose lines end in \n. */
export function placeAt(text: string, offset: number): Place {
  const before = text.slice(0, offset)
  const start = before.lastIndexOf('\n') + 1
  const end = text.indexOf('\n', offset)
  const whole = text.slice(start, end < 0 ? text.length : end)
  const line = before.split('\n').length
  // Tabs are kept, so that the caret stands below its place at any tab width.
  const blankOf = (source: string) => source.replace(/[^\t]/g, ' ')
  if (whole.length <= LONGEST) {
    return { line, source: whole, caret: `${blankOf(before.slice(start))}^` }
  }
  const from = Math.max(offset - start - SIDE, 0)
  const source = whole.slice(from, from + 2 * SIDE)
  const [head, tail] = [from > 0 ? '…' : '', from + 2 * SIDE < whole.length ? '…' : '']
  const blank = blankOf(head + source.slice(0, offset - start - from))
  return { line, source: head + source + tail, caret: `${blank}^` }
}

/** A longer line is shown in part. */
const LONGEST = 800

/** How much of it is shown on either side of its place. */
const SIDE = 200

/** Returns the length of the white space and comments before a text's first word, in UTF-16 units. */
export function leadingBlank(text: string): number {
  return /^(?:\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*/.exec(text)?.[0].length ?? 0
}

/** Converts a number of characters, a UTF-16 pair counted as one, to UTF-16 units. */
export function unitsOf(text: string, characters: number): number {
  let units = 0
  let counted = 0
  for (const character of text) {
    if (counted++ >= characters) break
    units += character.length
  }
  return units
}
