import { type Node, parseSync, scanSync } from 'libpg-query'

/** Where a word of a statement is, in bytes of its text. */
export interface Token {
  start: number
  end: number
}

/** What PostgreSQL's parser says of one statement. */
export interface ReadStatement {
  /** Undefined where the parser gave up on it. */
  node: Node | undefined
  /** All but comments. */
  tokens: Token[]
}

/** Reads one statement. The parser has to be loaded. */
export function readStatement(text: string): ReadStatement {
  try {
    const node = parseSync(text).stmts?.[0]?.stmt
    const tokens = scanSync(text).tokens.filter(({ tokenName }) => !/_?COMMENT$/.test(tokenName))
    return { node, tokens: tokens.map(({ start, end }) => ({ start, end })) }
  } catch {
    return { node: undefined, tokens: [] }
  }
}
