import type { Node } from 'libpg-query'
import { parsePlPgSQLSync, parseSync } from '../../common/pg-parser.ts'
import { strings } from './names.ts'
import { optionsOf } from './options.ts'
import { deletesSome } from './query-risks.ts'
import { type Risk, risksOf } from './risks.ts'

/**
 * Code that a statement runs and does not contain as SQL: a DO block, or the functions that it
 * calls. Which parts of it run is unknown beforehand.
 */
export interface Hidden {
  risks: Risk[]
  /** It runs dynamic SQL, or cannot be parsed: it may do anything. */
  runsText: boolean
  /** Names (without schema) of the functions that it calls. */
  calls: string[]
  /** Names (without schema) of tables from which it deletes rows with WHERE. */
  deletes: string[]
  /** Whether it commits or rolls back, so that it cannot run within a transaction. */
  commits: boolean
}

const NOTHING: Hidden = { risks: [], runsText: false, calls: [], deletes: [], commits: false }

type Tree = Record<string, unknown>

/** Functions of PostgreSQL that scripts call for their effect and that lose no rows. */
const HARMLESS = new Set(['set_config', 'setval', 'nextval', 'pg_sleep', 'pg_notify', 'now'])

/** Returns the code behind a statement; undefined if there is none. */
export function hiddenIn(node: Node): Hidden | undefined {
  if ('DoStmt' in node) {
    const options = optionsOf(node.DoStmt.args)
    const language = options.get('language') ?? 'plpgsql'
    const body = options.get('as') ?? ''
    return language === 'plpgsql' ? readPlPgSQL(`do ${literal(body)}`) : readNothing()
  }
  if (!('CallStmt' in node) && !('SelectStmt' in node)) return undefined
  const calls = callsIn(node as Tree)
  return calls.length > 0 ? { ...NOTHING, calls } : undefined
}

/**
 * Reads what a function does. The parser must be loaded.
 * @param definition its CREATE FUNCTION statement
 */
export function hiddenInRoutine(definition: string): Hidden {
  try {
    const node = parseSync(definition).stmts?.[0]?.stmt
    if (!node || !('CreateFunctionStmt' in node)) return readNothing()
    const { options, sql_body } = node.CreateFunctionStmt
    const found = optionsOf(options)
    if (found.get('language') === 'plpgsql') return readPlPgSQL(definition)
    if (sql_body) return readNodes(nodesIn(sql_body as Tree))
    return found.get('language') === 'sql' ? readSql(found.get('as') ?? '') : readNothing()
  } catch {
    return readNothing()
  }
}

function readNothing(): Hidden {
  return { ...NOTHING, runsText: true }
}

function readPlPgSQL(text: string): Hidden {
  try {
    const tree = parsePlPgSQLSync(text) as unknown as Tree
    const commits = COMMITS.test(JSON.stringify(tree))
    return merged([{ ...NOTHING, commits }, ...expressionsIn(tree).map(readExpression)])
  } catch {
    return readNothing()
  }
}

const COMMITS = /"PLpgSQL_stmt_(?:commit|rollback)"/

function readSql(text: string): Hidden {
  return readNodes((parseSync(text).stmts ?? []).flatMap(({ stmt }) => stmt ?? []))
}

function readNodes(nodes: Node[]): Hidden {
  return merged(
    nodes.map((node) => {
      const inner = 'DoStmt' in node ? hiddenIn(node) : undefined
      const calls = callsIn(node as Tree)
      const own = { ...NOTHING, risks: risksOf(node), calls, deletes: deletesSome(node) }
      return inner ? merged([own, inner]) : own
    }),
  )
}

interface Expression {
  query: string
  /**
   * RawParseMode (source: parser/parser.h): 0 a statement, 2 an expression, from 3 an assignment.
   */
  parseMode: number
  isText: boolean
}

function readExpression({ query, parseMode, isText }: Expression): Hidden {
  if (parseMode === 0) return readSql(query)
  const value = parseMode === 2 ? query : query.slice(query.indexOf('=') + 1)
  const node = parseSync(`select ${value}`).stmts?.[0]?.stmt
  if (!node) return readNothing()
  const calls = callsIn(node as unknown as Tree)
  if (!isText) return { ...NOTHING, calls }
  const text = constantOf(node)
  return text === undefined ? { ...NOTHING, runsText: true, calls } : readSql(text)
}

/** Returns all expressions of a PL/pgSQL tree; `isText` marks those whose value is run as SQL. */
function expressionsIn(tree: unknown, isText = false): Expression[] {
  if (Array.isArray(tree)) return tree.flatMap((one) => expressionsIn(one, isText))
  if (typeof tree !== 'object' || tree === null) return []
  return Object.entries(tree).flatMap(([key, value]) => {
    if (key !== 'PLpgSQL_expr') {
      const isRun = key === 'dynquery' || (key === 'query' && isDynamic(tree as Tree))
      return expressionsIn(value, isRun)
    }
    const { query = '', parseMode = 0 } = value as Partial<Expression>
    return [{ query, parseMode, isText }]
  })
}

/** Returns whether `query` is an expression that yields SQL text, rather than a statement. */
function isDynamic(statement: Tree): boolean {
  const { query } = statement as { query?: { PLpgSQL_expr?: { parseMode?: number } } }
  return query?.PLpgSQL_expr?.parseMode === 2
}

function constantOf(node: Node): string | undefined {
  if (!('SelectStmt' in node)) return undefined
  const [target] = node.SelectStmt.targetList ?? []
  const value = target && 'ResTarget' in target ? target.ResTarget.val : undefined
  return value && 'A_Const' in value ? value.A_Const.sval?.sval : undefined
}

function callsIn(tree: unknown): string[] {
  if (Array.isArray(tree)) return tree.flatMap(callsIn)
  if (typeof tree !== 'object' || tree === null) return []
  return Object.entries(tree).flatMap(([key, value]) => {
    const inner = callsIn(value)
    if (key !== 'FuncCall' && key !== 'funccall') return inner
    const names = strings((value as { funcname?: Node[] }).funcname)
    const name = names.at(-1) ?? ''
    const isOwn = names.length > 1 && names[0] === 'pg_catalog'
    return isOwn || HARMLESS.has(name) ? inner : [name, ...inner]
  })
}

/** Returns the statements of a BEGIN ATOMIC body. */
function nodesIn(tree: unknown): Node[] {
  if (Array.isArray(tree)) return tree.flatMap(nodesIn)
  if (typeof tree !== 'object' || tree === null) return []
  if ('List' in tree) return nodesIn((tree.List as { items?: unknown }).items)
  return [tree as Node]
}

function merged(parts: Hidden[]): Hidden {
  return {
    risks: parts.flatMap(({ risks }) => risks),
    runsText: parts.some(({ runsText }) => runsText),
    calls: [...new Set(parts.flatMap(({ calls }) => calls))],
    deletes: parts.flatMap(({ deletes }) => deletes),
    commits: parts.some(({ commits }) => commits),
  }
}

/** Returns a text as an SQL literal. */
function literal(text: string): string {
  return `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
