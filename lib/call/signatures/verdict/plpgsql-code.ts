import { parsePlPgSQLSync, type ScanToken, scanSync } from 'libpg-query'
import { ANYTHING, add, type Code, unknownEffects } from './effects.ts'
import { type IsVolatile, noteAttributes, noteExpression, noteStatements } from './sql-code.ts'
import { isTree, type Tree } from './tree.ts'

/**
 * Conditions that catch query_canceled or read_only_sql_transaction, by name or by class
 * (PostgreSQL source, pl_exec.c: exception_matches_conditions). `others` catches all errors except
 * query_canceled.
 */
const HANDLES = new Set([
  'others',
  'query_canceled',
  'read_only_sql_transaction',
  'operator_intervention',
  'invalid_transaction_state',
  '57014',
  '25006',
  '57000',
  '25000',
])

/**
 * RawParseMode of an assignment whose target has one, two or three names (PostgreSQL source,
 * parser.h).
 */
const ASSIGNMENTS = new Set([3, 4, 5])
const EXPRESSION = 2

/** Statements that run dynamic SQL. */
const RUNS_TEXT = /^PLpgSQL_stmt_dyn/

/**
 * Records the effects of a function in PL/pgSQL.
 * @param definition its CREATE FUNCTION statement
 * @param body the text in dollar quotes there
 * @throws if it does not parse
 */
export function notePlPgSQL(
  definition: string,
  body: string,
  code: Code,
  isVolatile: IsVolatile,
): void {
  const tokens = tokensOf(body)
  const tree = parse(definition, body, tokens, code, isVolatile)
  noteNode(tree, code, isVolatile)
  noteRecords(tree, body, tokens, code, isVolatile)
  noteUnseen(tokens, code)
}

/** Returns the tokens of a text without comments. */
function tokensOf(text: string): ScanToken[] {
  return scanSync(text).tokens.filter(({ tokenName }) => !/_?COMMENT$/.test(tokenName))
}

/** A replacement of the tokens from `from` up to, but not including, `to`. */
interface Change {
  from: number
  to: number
  text: string
}

/**
 * Parses the function. The parser knows no tables, so it takes `x t%rowtype` and `x t.pair%type`
 * for variables without fields, and `x.a := 1` would be an error. The types are replaced, because
 * only calls matter here and a type contains none.
 */
function parse(
  definition: string,
  body: string,
  tokens: ScanToken[],
  code: Code,
  isVolatile: IsVolatile,
): Tree {
  const parseWith = (changes: Change[]) =>
    parsePlPgSQLSync(withBody(definition, body, changed(body, tokens, changes))) as unknown as Tree
  const types = copiedTypes(tokens)
  try {
    return parseWith(types.map(({ change }) => change))
  } catch (error) {
    if (!/is not a known variable/.test((error as Error).message)) throw error
    // The "%" may be an operator in an expression, whose names would be lost.
    for (const { names } of types) noteAttributes(names.slice(1), code, isVolatile)
    return parseWith(types.map(({ lax }) => lax))
  }
}

/** Finds `t%rowtype`, and `t.c%type` with the array brackets behind it. */
function copiedTypes(tokens: ScanToken[]): { change: Change; lax: Change; names: string[] }[] {
  return tokens.flatMap(({ text }, i) => {
    const word = tokens[i + 1]?.text.toLowerCase()
    if (text !== '%' || (word !== 'rowtype' && word !== 'type')) return []
    if (word === 'rowtype') {
      const change = { from: i, to: i + 2, text: ' ' }
      return [{ change, lax: change, names: [] }]
    }
    const to = endOfBrackets(tokens, i + 2)
    const change = { from: i + 2, to, text: ' ' }
    let from = i
    while (isWord(tokens[from - 1])) {
      from--
      if (tokens[from - 1]?.text !== '.') break
      from--
    }
    // A name after the dot of another expression does not stand alone.
    if (tokens[from]?.text === '.' || from === i) return [{ change, lax: change, names: [] }]
    const names = tokens
      .slice(from, i)
      .filter(isWord)
      .map(({ tokenName, text }) => nameOf(tokenName, text))
    return [{ change, lax: { from, to, text: ' record ' }, names }]
  })
}

/** Returns the index behind any number of `[]`, `[3]` and `array`. */
function endOfBrackets(tokens: ScanToken[], at: number): number {
  for (let i = at; ; ) {
    const next = tokens[i]?.text
    if (next?.toLowerCase() === 'array') i++
    else if (next === '[' && tokens[i + 1]?.text === ']') i += 2
    else if (next === '[' && tokens[i + 2]?.text === ']') i += 3
    else return i
  }
}

function changed(text: string, tokens: ScanToken[], changes: Change[]): string {
  const bytes = Buffer.from(text)
  let result = ''
  let at = 0
  for (const { from, to, text } of changes) {
    const start = tokens[from]?.start ?? bytes.length
    result += bytes.toString('utf8', at, start) + text
    at = Math.max(start, tokens[to - 1]!.end)
  }
  return result + bytes.toString('utf8', at)
}

/**
 * Returns the definition with another body.
 * @throws if the definition does not end with this body in dollar quotes
 */
function withBody(definition: string, body: string, other: string): string {
  if (other === body) return definition
  const at = definition.lastIndexOf(body)
  const quote = /\$[^$]*\$$/.exec(definition.slice(0, at))?.[0]
  if (at < 0 || !quote || definition.slice(at + body.length).trim() !== quote) {
    throw new Error('The body is not in dollar quotes')
  }
  return definition.slice(0, at) + other + definition.slice(at + body.length)
}

function noteNode(tree: unknown, code: Code, isVolatile: IsVolatile): void {
  if (Array.isArray(tree)) {
    for (const one of tree) noteNode(one, code, isVolatile)
    return
  }
  if (!isTree(tree)) return
  for (const [key, value] of Object.entries(tree)) {
    if (key === 'PLpgSQL_expr') noteQuery(value as Query, code, isVolatile)
    else if (RUNS_TEXT.test(key) || key === 'dynquery') add(code, unknownEffects(ANYTHING))
    else if (key === 'PLpgSQL_stmt_rollback') code.writes = true
    else if (key === 'PLpgSQL_stmt_commit') code.writes = code.commits = true
    else if (key === 'PLpgSQL_condition') {
      const { condname } = value as { condname?: string }
      if (condname === undefined || HANDLES.has(condname.toLowerCase())) code.handles = true
    }
    noteNode(value, code, isVolatile)
  }
}

interface Query {
  query: string
  parseMode?: number
}

function noteQuery({ query, parseMode = 0 }: Query, code: Code, isVolatile: IsVolatile): void {
  if (parseMode === EXPRESSION) noteExpression(query, code, isVolatile)
  else if (ASSIGNMENTS.has(parseMode)) noteAssignment(query, code, isVolatile)
  else noteStatements(query, code, isVolatile)
}

/**
 * Records the effects of `target := expression`. The target may contain expressions in brackets.
 */
function noteAssignment(query: string, code: Code, isVolatile: IsVolatile): void {
  const bytes = Buffer.from(query)
  let depth = 0
  for (const { start, end, text } of scanSync(query).tokens) {
    if (text === '[' || text === '(') depth++
    if (text === ']' || text === ')') depth--
    if (depth > 0 || (text !== ':=' && text !== '=')) continue
    noteExpression(bytes.toString('utf8', 0, start), code, isVolatile)
    noteExpression(bytes.toString('utf8', end), code, isVolatile)
    return
  }
  throw new Error('The assignment has no := or =')
}

/**
 * Records the effects of the initial values of composite variables, which the parser leaves out.
 */
function noteRecords(
  tree: Tree,
  body: string,
  tokens: ScanToken[],
  code: Code,
  isVolatile: IsVolatile,
): void {
  const records = new Set<string>()
  JSON.stringify(tree, (key, value) => {
    if (key === 'PLpgSQL_rec') records.add(value.refname)
    return value
  })
  if (records.size === 0) return
  const bytes = Buffer.from(body)
  for (const [i, { tokenName, text }] of tokens.entries()) {
    if (!records.has(nameOf(tokenName, text)) || !isWord(tokens[i + 1])) continue
    const [from, to] = initialValue(tokens, i + 1)
    if (from === undefined || to === undefined) continue
    const expression = bytes.toString('utf8', tokens[from]!.start, tokens[to]!.start)
    try {
      noteExpression(expression, code, isVolatile)
    } catch {
      // Not a declaration: PostgreSQL has parsed all real ones.
    }
  }
}

/** Returns the range of the tokens between `:=`, `=` or DEFAULT and the next semicolon. */
function initialValue(tokens: ScanToken[], at: number): [number?, number?] {
  let from: number | undefined
  for (let i = at; i < tokens.length; i++) {
    const { text } = tokens[i]!
    if (text === ';') return from === undefined ? [] : [from, i]
    if (from === undefined && /^(:=|=|default)$/i.test(text)) from = i + 1
  }
  return []
}

/** Records everything else that looks like a call, in case the parser leaves out more. */
function noteUnseen(tokens: ScanToken[], code: Code): void {
  for (const [i, token] of tokens.entries()) {
    if (tokens[i + 1]?.text !== '(' || !isWord(token)) continue
    code.calls.add(nameOf(token.tokenName, token.text))
  }
}

function isWord(token: ScanToken | undefined): boolean {
  return token !== undefined && /^(?:"|[a-z_\x80-\uffff])/i.test(token.text)
}

function nameOf(tokenName: string, text: string): string {
  if (text.startsWith('"')) return text.slice(1, -1).replaceAll('""', '"')
  return tokenName === 'SCONST' ? '' : text.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}
