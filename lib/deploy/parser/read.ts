import type { Node } from 'libpg-query'
import { parseSync, scanSync } from '../../common/pg-parser.ts'

/** Position of a token, in bytes of the statement's text. */
export interface Token {
  start: number
  end: number
}

/** A statement as PostgreSQL's parser reads it. */
export interface ReadStatement {
  /** Undefined if the text could not be parsed. */
  node: Node | undefined
  /** All tokens except comments. */
  tokens: Token[]
}

/** Reads one statement. The parser must be loaded. */
export function readStatement(text: string): ReadStatement {
  try {
    const node = parseSync(text).stmts?.[0]?.stmt
    const tokens = scanSync(text).tokens.filter(({ tokenName }) => !/_?COMMENT$/.test(tokenName))
    return { node, tokens: tokens.map(({ start, end }) => ({ start, end })) }
  } catch {
    return { node: undefined, tokens: [] }
  }
}
