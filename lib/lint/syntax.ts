import { hasSqlDetails, type Node, parsePlPgSQLSync, parseSync } from 'libpg-query'
import type { SchemaFile } from '../archive/archive.ts'
import { optionsOf } from '../deploy/parser/options.ts'
import { unitsOf } from '../deploy/parser/place.ts'
import { psqlRefusal, runnableText } from '../deploy/run/sql-text.ts'
import type { Found } from './finding.ts'

/**
 * Errors of the PL/pgSQL parser that do not depend on types and tables, of which the parser knows
 * none.
 */
const CERTAIN =
  /^(?:syntax error|missing|unterminated|mismatched|unexpected|end label|label |duplicate declaration)/

const MAX_MESSAGE = 300

const ADVICE = "Correct it; PostgreSQL's parser reads no further"

/** Returns the syntax error of a file; undefined if it parses. The parser must be loaded. */
export function syntaxErrorIn(file: SchemaFile): Found | undefined {
  const text = runnableText(file)
  if (text.trim() === '') return undefined
  try {
    parseSync(text)
    return undefined
  } catch (error) {
    const psql = psqlRefusal(text)
    if (psql) {
      const { refusal, offset } = psql
      return { rule: 'refused', offset, message: refusal.split('. ')[0]!, advice: refusal }
    }
    const message = messageOf(error)
    return { rule: 'syntax', message, advice: ADVICE, isExact: true, offset: offsetOf(error, text) }
  }
}

/**
 * Returns the syntax error in the body of a function or DO block in SQL or PL/pgSQL; undefined if
 * there is none.
 * @param text the statement
 * @param node its tree
 */
export function bodyErrorIn(text: string, node: Node): Found | undefined {
  const options =
    'CreateFunctionStmt' in node
      ? optionsOf(node.CreateFunctionStmt.options)
      : 'DoStmt' in node
        ? optionsOf(node.DoStmt.args)
        : undefined
  const body = options?.get('as')
  if (!options || !body?.trim()) return undefined
  const language = options.get('language') ?? ('DoStmt' in node ? 'plpgsql' : 'sql')
  const start = text.lastIndexOf(body)
  if (language === 'sql') return sqlErrorIn(body, start)
  return language === 'plpgsql' ? plpgsqlErrorIn(text, body, start) : undefined
}

function sqlErrorIn(body: string, start: number): Found | undefined {
  try {
    parseSync(body)
    return undefined
  } catch (error) {
    const message = messageOf(error)
    const isExact = start >= 0
    const offset = isExact ? start + offsetOf(error, body) : 0
    return { rule: 'syntax', message, advice: ADVICE, offset, isExact }
  }
}

/** The parser's message repeats a word of any length. */
function messageOf(error: unknown): string {
  const { message } = error as Error
  return message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE)}…` : message
}

/** The parser gives no place in PL/pgSQL: it is the token that it names, where that occurs once. */
function plpgsqlErrorIn(text: string, body: string, start: number): Found | undefined {
  try {
    parsePlPgSQLSync(text)
    return undefined
  } catch (error) {
    const { message } = error as Error
    if (!CERTAIN.test(message)) return undefined
    const token = /at or near "(.+)"$/s.exec(message)?.[1]
    const at = token === undefined ? -1 : body.indexOf(token)
    const isExact = start >= 0 && at >= 0 && body.indexOf(token!, at + 1) < 0
    const offset = isExact ? start + at : Math.max(start, 0)
    return { rule: 'syntax', message: messageOf(error), advice: ADVICE, offset, isExact }
  }
}

/** The parser counts characters, a UTF-16 pair as one. */
function offsetOf(error: unknown, text: string): number {
  return unitsOf(text, hasSqlDetails(error) ? (error.sqlDetails?.cursorPosition ?? 0) : 0)
}
