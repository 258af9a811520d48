import { parsePlPgSQLSync, type ScanToken, scanSync } from 'libpg-query'
import { ANYTHING, add, type Code, unknownEffects } from './effects.ts'
import { type IsVolatile, noteExpression, noteStatements } from './sql-code.ts'
import { isTree, type Tree } from './tree.ts'

/**
 * Conditions that a handler of query_canceled or read_only_sql_transaction has, as it is meant or by
 * its class (source, pl_exec.c: exception_matches_conditions). `others` is all but the first.
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

/** RawParseMode (source, parser.h): an assignment, whose target has one, two or three names. */
const ASSIGNMENTS = new Set([3, 4, 5])
const EXPRESSION = 2

/** Statements that run a text. */
const RUNS_TEXT = /^PLpgSQL_stmt_dyn/

/**
 * Notes what a function in PL/pgSQL does. `definition` is its CREATE FUNCTION, `body` what stands in
 * quotes there.
 * @throws where it does not parse
 */
export function notePlPgSQL(
  definition: string,
  body: string,
  code: Code,
  isVolatile: IsVolatile,
): void {
  const tree = parse(definition)
  noteNode(tree, code, isVolatile)
  const tokens = scanSync(body).tokens.filter(({ tokenName }) => !/_?COMMENT$/.test(tokenName))
  noteRecords(tree, body, tokens, code, isVolatile)
  noteUnseen(tokens, code)
}

/**
 * The parser knows no table, and takes `x t%rowtype` and `x t.pair%type` for variables without
 * fields: `x.a := 1` would be an error. Only calls matter here, which no type makes.
 */
function parse(definition: string): Tree {
  const text = definition
    .replace(/%\s*rowtype\b/gi, '')
    .replace(/(%\s*type)\s*(?:\[[\d\s]*\]\s*|array\b)+/gi, '$1')
  try {
    return parsePlPgSQLSync(text) as unknown as Tree
  } catch (error) {
    if (!/is not a known variable/.test((error as Error).message)) throw error
    const lax = text.replace(/[\w."]+\s*%\s*type\b/gi, 'record')
    return parsePlPgSQLSync(lax) as unknown as Tree
  }
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
    else if (key === 'PLpgSQL_stmt_commit' || key === 'PLpgSQL_stmt_rollback') code.writes = true
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

/** `target := expression`, where the target may have expressions in brackets. */
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
  throw new Error('An assignment without a sign')
}

/** The parser leaves out what a variable of a composite type is given where it is declared. */
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
      // Not a declaration: what stands in one has been parsed by PostgreSQL.
    }
  }
}

/** The tokens between `:=`, `=` or DEFAULT and the next semicolon. */
function initialValue(tokens: ScanToken[], at: number): [number?, number?] {
  let from: number | undefined
  for (let i = at; i < tokens.length; i++) {
    const { text } = tokens[i]!
    if (text === ';') return from === undefined ? [] : [from, i]
    if (from === undefined && /^(:=|=|default)$/i.test(text)) from = i + 1
  }
  return []
}

/** What else looks like a call, should the parser leave out more. */
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
