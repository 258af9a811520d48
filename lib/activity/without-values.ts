/** Dollar quotes, texts, names in quotes, comments, numbers; unfinished ones up to the end. */
const TOKEN =
  /\$(\w*)\$[\s\S]*?(?:\$\1\$|$)|[eEbBxX]?'(?:[^'\\]|''|\\[\s\S])*(?:'|$)|"(?:[^"]|"")*(?:"|$)|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|(?<![\w$.])\d[\w.]*/g

/**
 * Returns the text of a statement on one line, with `?` in the place of each literal, and without
 * comments, which may have values too.
 */
export function withoutValues(query: string): string {
  return query
    .replaceAll(TOKEN, (token) => {
      if (token.startsWith('"')) return token
      return token.startsWith('--') || token.startsWith('/*') ? ' ' : '?'
    })
    .replaceAll(/\s+/g, ' ')
    .trim()
}
