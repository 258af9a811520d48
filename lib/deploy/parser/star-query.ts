import type { Node } from 'libpg-query'
import { scanSync } from '../../common/pg-parser.ts'
import { strings } from './names.ts'

/** The query of a view that selects `*`. */
export interface StarQuery {
  text: string
  /** Column names that the statement itself gives, for the first columns. */
  aliases: string[]
}

/**
 * Returns the query of a CREATE VIEW without OR REPLACE, or of a CREATE MATERIALIZED VIEW, that
 * selects `*`. Such a view keeps the columns that it was created with.
 * @param text text of the statement
 */
export function starQueryOf(node: Node, text: string): StarQuery | undefined {
  const aliases = aliasesOf(node)
  if (!aliases || !JSON.stringify(node).includes('"A_Star"')) return undefined
  const bytes = Buffer.from(text)
  const words = scanSync(text)
    .tokens.filter(({ tokenName }) => !/_?COMMENT$/.test(tokenName))
    .map(({ start, end }) => ({ start, end, word: bytes.toString('utf8', start, end) }))
  const is = (i: number, word: string) => words.at(i)?.word.toLowerCase() === word
  let depth = 0
  let from = 0
  for (; from < words.length; from++) {
    // The query of a recursive view refers to the view itself.
    if (is(from, 'recursive')) return undefined
    if (is(from, '(')) depth++
    if (is(from, ')')) depth--
    if (depth === 0 && is(from, 'as')) break
  }
  let to = words.length
  // WITH [CASCADED | LOCAL] CHECK OPTION; WITH [NO] DATA
  if (is(-1, 'option') && is(-2, 'check')) to -= is(-3, 'with') ? 3 : 4
  else if (is(-1, 'data') && is(-2, 'with')) to -= 2
  else if (is(-1, 'data') && is(-2, 'no') && is(-3, 'with')) to -= 3
  if (from + 1 >= to) return undefined
  return { text: bytes.toString('utf8', words[from + 1]!.start, words[to - 1]!.end), aliases }
}

function aliasesOf(node: Node): string[] | undefined {
  if ('ViewStmt' in node) {
    return node.ViewStmt.replace ? undefined : strings(node.ViewStmt.aliases)
  }
  if (!('CreateTableAsStmt' in node)) return undefined
  const { objtype, into } = node.CreateTableAsStmt
  return objtype === 'OBJECT_MATVIEW' ? strings(into?.colNames) : undefined
}
