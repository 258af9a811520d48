/** What stands in the place of each comment, of each literal, and of each number. */
export interface Masks {
  comment: string
  literal: string
  number: string
}

/** Letters of PostgreSQL: all that is not ASCII, too. */
const LETTER = String.raw`A-Za-z_\u0080-\uffff`

/** What a statement consists of as far as values are concerned, in the order of the attempts. */
const TOKENS = [
  '"[^"]*"',
  // The beginning of a comment that may have others in it
  String.raw`--[^\n\r]*|/\*`,
  // The beginning of a text, which ends as what is before it says
  "[eE]?'",
  String.raw`\$([${LETTER}][${LETTER}\d]*)?\$[\s\S]*?(?:\$\1\$|$(?![\s\S]))`,
  String.raw`[${LETTER}][${LETTER}\d$]*|\$\d+`,
  String.raw`\.?\d[\w.]*`,
]

/** The rest of a text in quotes; of a truncated one, up to the end. */
const PLAIN = /(?:[^']|'')*'?/y
const ESCAPED = /(?:[^'\\]|''|\\[\s\S]?)*'?/y

/**
 * Returns a function that replaces all values in the text of a statement, which may be truncated,
 * up to `maxLength` characters. Comments may have values, too. Its time is proportional to the
 * text: whoever writes functions chooses it. Strings are read as with `standard_conforming_strings`.
 * @param kept patterns without groups of what looks like a value and is none
 */
export function valueMask(
  masks: Masks,
  maxLength: number,
  kept: string[] = [],
): (text: string) => string {
  const token = new RegExp([...kept, ...TOKENS].join('|'), 'gm')
  return (text) => maskValues(text, { token, masks, maxLength }).slice(0, maxLength)
}

function maskValues(
  text: string,
  { token, masks, maxLength }: { token: RegExp; masks: Masks; maxLength: number },
): string {
  let masked = ''
  let at = 0
  // End of a text with escapes; one that follows it, behind blanks and comments, continues it.
  let escapedEnd: number | undefined
  token.lastIndex = 0
  while (masked.length < maxLength) {
    const found = token.exec(text)
    if (!found) return masked + text.slice(at)
    const { index, 0: word } = found
    const kind = kindOf(word)
    const continues = escapedEnd !== undefined && !/\S/.test(text.slice(escapedEnd, index))
    const isEscaped = /^e'$/i.test(word) || (continues && word === "'")
    masked += text.slice(at, index) + (kind === undefined ? word : masks[kind])
    at = endOf(text, token.lastIndex, word, isEscaped)
    token.lastIndex = at
    escapedEnd = isEscaped || (continues && kind === 'comment') ? at : undefined
  }
  return masked
}

function kindOf(word: string): keyof Masks | undefined {
  if (word.endsWith("'") && word.length <= 2) return 'literal'
  if (word.startsWith('--') || word === '/*') return 'comment'
  if (word.startsWith('$')) return /\d/.test(word[1]!) ? undefined : 'literal'
  return /^\.?\d/.test(word) ? 'number' : undefined
}

/** Returns the end of the token whose beginning, `word`, ends at `at`. */
function endOf(text: string, at: number, word: string, isEscaped: boolean): number {
  if (word === '/*') return commentEnd(text, at)
  if (word.length > 2 || !word.endsWith("'")) return at
  const rest = isEscaped ? ESCAPED : PLAIN
  rest.lastIndex = at
  rest.test(text)
  return rest.lastIndex
}

/** Comments nest in PostgreSQL. */
function commentEnd(text: string, at: number): number {
  const mark = /\/\*|\*\//g
  mark.lastIndex = at
  for (let depth = 1; depth > 0; ) {
    const found = mark.exec(text)
    if (!found) return text.length
    depth += found[0] === '/*' ? 1 : -1
  }
  return mark.lastIndex
}
