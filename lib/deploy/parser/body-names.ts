import type { Node } from 'libpg-query'
import { parsePlPgSQLSync, parseSync } from '../../common/pg-parser.ts'
import { strings } from './names.ts'
import { optionsOf } from './options.ts'

/** A name of a database object in the body of a PL/pgSQL function. */
export interface BodyName {
  kind: 'relation' | 'function' | 'column'
  /** Schema as written; null if the name has none. */
  schema: string | null
  /** Name of the relation or function; for a column, its table. */
  name: string
  column: string | null
  /** Number of line breaks before it in the text of the statement. */
  line: number
}

/** All names in a body. */
export interface BodyNames {
  names: BodyName[]
  /** Names (without schema) of the relations that the body creates, such as temporary tables. */
  makes: string[]
}

const NOTHING: BodyNames = { names: [], makes: [] }

/** RawParseMode (source: parser/parser.h): 2 is an expression, 3 to 5 are assignments. */
const EXPRESSION = 2
const ASSIGNMENTS = new Set([3, 4, 5])

/**
 * Returns the names in the body of a CREATE FUNCTION: relations that it reads or writes, functions
 * that it calls, columns that INSERT and UPDATE write. Dynamic SQL and text that does not parse are
 * skipped. The parser must be loaded.
 */
export function bodyNamesIn(text: string): BodyNames {
  try {
    const body = bodyOf(text)
    if (body === undefined) return NOTHING
    const tree = parseBody(text)
    const start = text.indexOf(body)
    const base = start < 0 ? 0 : lineBreaks(text, start)
    const result: BodyNames = { names: [], makes: [] }
    visit(tree, 1, (query, line) => noteQuery(query, base + line - 1, result))
    return result
  } catch {
    return NOTHING
  }
}

function bodyOf(text: string): string | undefined {
  const stmt = parseSync(text).stmts?.[0]?.stmt
  if (!stmt || !('CreateFunctionStmt' in stmt)) return undefined
  return optionsOf(stmt.CreateFunctionStmt.options).get('as')
}

/** Parses a body. The parser knows no tables, so row types are replaced by `record`. */
function parseBody(text: string): unknown {
  const parse = (type: string) =>
    parsePlPgSQLSync(text.replace(/[\w."]+%row\s*type\b/gi, type).replace(/%type\b/gi, ''))
  try {
    return parse('record')
  } catch {
    return parsePlPgSQLSync(text.replace(/[\w."]+\s*%\s*(row)?type\b/gi, 'record'))
  }
}

interface Query {
  query: string
  parseMode?: number
}

function visit(tree: unknown, line: number, note: (query: Query, line: number) => void): void {
  if (typeof tree !== 'object' || tree === null) return
  if (Array.isArray(tree)) {
    for (const one of tree) visit(one, line, note)
    return
  }
  const { lineno } = tree as { lineno?: number }
  const here = lineno ?? line
  for (const [key, value] of Object.entries(tree)) {
    if (key === 'PLpgSQL_expr') note(value as Query, here)
    else visit(value, here, note)
  }
}

function noteQuery({ query, parseMode = 0 }: Query, line: number, result: BodyNames): void {
  const expression = ASSIGNMENTS.has(parseMode) ? query.replace(/^[^:=]*:?=/s, keepBreaks) : query
  const isExpression = parseMode === EXPRESSION || ASSIGNMENTS.has(parseMode)
  const prefix = isExpression ? 'select ' : ''
  let stmts: { stmt?: Node }[]
  try {
    stmts = parseSync(prefix + expression).stmts ?? []
  } catch {
    return
  }
  const bytes = Buffer.from(prefix + expression)
  const lineAt = (location = 0) => line + lineBreaks(bytes.toString('utf8', 0, location), Infinity)
  const ctes = new Set<string>()
  const found: BodyName[] = []
  noteNode(stmts, { found, ctes, makes: result.makes, lineAt })
  result.names.push(
    ...found.filter(({ kind, schema, name }) => {
      return kind === 'function' || schema !== null || !ctes.has(name)
    }),
  )
}

/** Replaces the target of an assignment with blanks; its line breaks stay. */
function keepBreaks(target: string): string {
  return target.replace(/[^\n]/g, ' ')
}

interface Notes {
  found: BodyName[]
  ctes: Set<string>
  makes: string[]
  lineAt: (location?: number) => number
}

function noteNode(tree: unknown, notes: Notes): void {
  if (typeof tree !== 'object' || tree === null) return
  if (Array.isArray(tree)) {
    for (const one of tree) noteNode(one, notes)
    return
  }
  for (const [key, value] of Object.entries(tree as Record<string, AnyNode>)) {
    if (key === 'CommonTableExpr' && value.ctename) notes.ctes.add(value.ctename)
    else if (key === 'CreateStmt' || key === 'ViewStmt')
      makesRelation(value.relation ?? value.view, notes)
    else if (key === 'CreateTableAsStmt' || key === 'intoClause')
      makesRelation(value.into?.rel ?? value.rel, notes)
    else if (key === 'InsertStmt') noteColumns(value.relation, value.cols, notes)
    else if (key === 'UpdateStmt') noteColumns(value.relation, value.targetList, notes)
    else if (key === 'RangeVar' || key === 'relation') noteRelation(value, notes)
    else if (key === 'FuncCall' && value.funcname) noteFunction(value, notes)
    noteNode(value, notes)
  }
}

function makesRelation(at: RangeVar | undefined, { makes }: Notes): void {
  if (at?.relname) makes.push(at.relname)
}

function noteRelation(
  { relname, schemaname, catalogname, location }: RangeVar,
  notes: Notes,
): void {
  if (!relname || catalogname) return
  const line = notes.lineAt(location)
  const schema = schemaname ?? null
  notes.found.push({ kind: 'relation', schema, name: relname, column: null, line })
}

function noteFunction({ funcname, location }: AnyNode, notes: Notes): void {
  const [name, schema = null, ...more] = strings(funcname).reverse()
  if (name === undefined || more.length > 0) return
  notes.found.push({ kind: 'function', schema, name, column: null, line: notes.lineAt(location) })
}

function noteColumns(at: RangeVar | undefined, targets: Node[] | undefined, notes: Notes): void {
  if (!at?.relname) return
  for (const target of targets ?? []) {
    if (!('ResTarget' in target) || !target.ResTarget.name) continue
    const { name: column, location } = target.ResTarget
    const line = notes.lineAt(location)
    const schema = at.schemaname ?? null
    notes.found.push({ kind: 'column', schema, name: at.relname, column, line })
  }
}

interface RangeVar {
  relname?: string
  schemaname?: string
  catalogname?: string
  location?: number
}

interface AnyNode extends RangeVar {
  ctename?: string
  relation?: RangeVar
  view?: RangeVar
  into?: { rel?: RangeVar }
  rel?: RangeVar
  cols?: Node[]
  targetList?: Node[]
  funcname?: Node[]
}

function lineBreaks(text: string, end: number): number {
  return text.slice(0, end === Infinity ? undefined : end).split('\n').length - 1
}
