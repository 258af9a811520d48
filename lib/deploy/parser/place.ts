/** A place in a file. */
export interface Place {
  /** From 1. */
  line: number
  /** The text of the line. */
  source: string
  /** Blanks and `^`, to stand below the source. */
  caret: string
}

/** Returns the place of an offset, in UTF-16 units, in a text whose lines end in \n. */
export function placeAt(text: string, offset: number): Place {
  const before = text.slice(0, offset)
  const start = before.lastIndexOf('\n') + 1
  return {
    line: before.split('\n').length,
    source: text.slice(start).split('\n', 1)[0] ?? '',
    // Tabs are kept, so that the caret stands below its place at any tab width.
    caret: `${before.slice(start).replace(/[^\t]/g, ' ')}^`,
  }
}

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
