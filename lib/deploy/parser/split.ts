import type { Node } from 'libpg-query'
import { parseSync } from '../../common/pg-parser.ts'
import { factsOf } from './facts.ts'
import { hiddenIn } from './hidden.ts'
import { madeBy, pathSetBy } from './makes.ts'
import { sqlName, strings } from './names.ts'
import { refusalOfOwn } from './own.ts'
import { isPlain } from './plain.ts'
import { referencesIn } from './references.ts'
import { risksOf } from './risks.ts'
import { starQueryOf } from './star-query.ts'
import { type Statement, unread } from './statement.ts'

const ENDS_TRANSACTION =
  'The statement begins or ends a transaction. A deploy is one transaction: remove begin, commit, ' +
  'rollback and savepoint from the file'

const DEALLOCATES_ALL =
  "DEALLOCATE ALL would remove the gateway's prepared statements as well; name the one to remove"
const COPIES_FROM_CLIENT =
  'COPY from stdin or to stdout needs a client that sends or receives the data; use INSERT instead'

/** Splits a file into its statements. The parser must be loaded. */
export function splitStatements(text: string): Statement[] {
  // The parser fails on an empty text.
  if (text.trim() === '') return []
  const unitsUntil = unitCounter(text)
  let statements: ParsedStatement[]
  try {
    statements = (parseSync(text) as { stmts?: ParsedStatement[] }).stmts ?? []
  } catch {
    return [unread(text)]
  }
  let path: string[] | null = null
  return statements.map(({ stmt, stmt_location = 0, stmt_len }) => {
    const pathSet = pathSetBy(stmt)
    if (pathSet !== undefined) path = pathSet
    const isCode = Object.keys(stmt).every((kind) => CODE.has(kind))
    const from = unitsUntil(stmt_location)
    const to = stmt_len ? unitsUntil(stmt_location + stmt_len) : text.length
    return {
      text: text.slice(from, to),
      offset: from,
      refusal: refusalOf(stmt),
      view: viewOf(stmt),
      routine: routineOf(stmt),
      made: madeBy(stmt, path),
      needs: isCode || needsTable(stmt) || isView(stmt) ? referencesIn(stmt) : [],
      isDescription: Object.keys(stmt).every((kind) => DESCRIBES.has(kind)),
      takesColumns: takesColumns(stmt),
      starQuery: starQueryOf(stmt, text.slice(from, to)),
      unnamedIndexOn: unnamedIndexOn(stmt),
      risks: risksOf(stmt),
      hidden: hiddenIn(stmt),
      facts: factsOf(stmt),
      isCode,
      isPlain: isPlain(stmt),
    }
  })
}

/** Statements that PostgreSQL executes without running any function. */
const CODE = new Set([
  'CreateFunctionStmt',
  'AlterFunctionStmt',
  'ViewStmt',
  'CommentStmt',
  'GrantStmt',
  'DefineStmt',
  'CreateTrigStmt',
  'CreateCastStmt',
  'CompositeTypeStmt',
  'CreateEnumStmt',
  'SecLabelStmt',
  'AlterOwnerStmt',
])

/** Statements that describe objects created by other statements. */
const DESCRIBES = new Set([
  'AlterFunctionStmt',
  'AlterDefaultPrivilegesStmt',
  'AlterOwnerStmt',
  'CommentStmt',
  'GrantStmt',
  'SecLabelStmt',
])

function isView(stmt: Node): boolean {
  return 'CreateTableAsStmt' in stmt
}

function unnamedIndexOn(stmt: Node): string | undefined {
  if (!('IndexStmt' in stmt) || stmt.IndexStmt.idxname || !stmt.IndexStmt.relation) return undefined
  return sqlName(stmt.IndexStmt.relation)
}

/**
 * Returns a function that converts byte offsets, which the parser reports, to UTF-16 offsets.
 * Ascending offsets are counted from the previous one; counting each from the start would take
 * minutes for a file with many statements.
 */
function unitCounter(text: string): (byte: number) => number {
  const bytes = Buffer.from(text)
  if (bytes.length === text.length) return (byte) => byte
  let last = { byte: 0, units: 0 }
  return (byte) => {
    const from = byte >= last.byte ? last : { byte: 0, units: 0 }
    const units = from.units + bytes.toString('utf8', from.byte, byte).length
    last = { byte, units }
    return units
  }
}

function refusalOf(stmt: Node): string | undefined {
  if ('TransactionStmt' in stmt) return ENDS_TRANSACTION
  if ('DeallocateStmt' in stmt && !stmt.DeallocateStmt.name) return DEALLOCATES_ALL
  if ('CopyStmt' in stmt && !stmt.CopyStmt.filename) return COPIES_FROM_CLIENT
  return refusalOfOwn(stmt)
}

function viewOf(stmt: Node): string | undefined {
  if ('ViewStmt' in stmt) return stmt.ViewStmt.view && sqlName(stmt.ViewStmt.view)
  if (!('CreateTableAsStmt' in stmt)) return undefined
  const { objtype, into } = stmt.CreateTableAsStmt
  return objtype === 'OBJECT_MATVIEW' && into?.rel ? sqlName(into.rel) : undefined
}

function routineOf(stmt: Node): string | undefined {
  if ('CreateFunctionStmt' in stmt) return strings(stmt.CreateFunctionStmt.funcname).at(-1)
  if (!('DefineStmt' in stmt) || stmt.DefineStmt.kind !== 'OBJECT_AGGREGATE') return undefined
  return strings(stmt.DefineStmt.defnames).at(-1)
}

interface ParsedStatement {
  stmt: Node
  /** Offset in bytes; absent if 0. */
  stmt_location?: number
  /** Length in bytes; absent if the statement extends to the end of the text. */
  stmt_len?: number
}

function takesColumns(stmt: Node): boolean {
  if ('ViewStmt' in stmt) return JSON.stringify(stmt).includes('"A_Star"')
  if (!('CreateFunctionStmt' in stmt)) return false
  const text = JSON.stringify(stmt)
  return text.includes('"A_Star"') || text.includes('"pct_type":true')
}

function needsTable(stmt: Node): boolean {
  return 'CreatePolicyStmt' in stmt || 'RuleStmt' in stmt
}
