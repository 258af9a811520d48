import { parseSync } from 'libpg-query'
import { quoteIdentifier } from '../../names.ts'

/** One SQL statement of a file. */
export interface Statement {
  text: string
  /** Characters of the file before it. */
  offset: number
  /** Why a deploy cannot run it, where that is so. */
  refusal: string | undefined
  /** The view that it creates, as SQL names it. */
  view: string | undefined
}

const ENDS_TRANSACTION =
  'It begins or ends a transaction. A deploy is one transaction: take begin, commit, rollback and ' +
  'savepoint out of the file'

const COPIES_FROM_CLIENT =
  'COPY from stdin or to stdout needs a client that sends or takes the data; write INSERT'

/** Splits a file into its statements. The parser has to be loaded. */
export function splitStatements(text: string): Statement[] {
  const unitsUntil = unitCounter(text)
  let statements: ParsedStatement[]
  try {
    statements = (parseSync(text) as { stmts?: ParsedStatement[] }).stmts ?? []
  } catch {
    return [{ text, offset: 0, refusal: undefined, view: undefined }]
  }
  return statements.map(({ stmt, stmt_location = 0, stmt_len }) => {
    const from = unitsUntil(stmt_location)
    const to = stmt_len ? unitsUntil(stmt_location + stmt_len) : text.length
    return {
      text: text.slice(from, to),
      offset: from,
      refusal: refusalOf(stmt),
      view: viewOf(stmt),
    }
  })
}

/**
 * The parser counts bytes, JavaScript UTF-16 units. It is asked for places further and further on:
 * counting each from the start of a file with many statements would take minutes.
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

function refusalOf({ TransactionStmt, CopyStmt }: ParsedStatement['stmt']): string | undefined {
  if (TransactionStmt) return ENDS_TRANSACTION
  return CopyStmt && !CopyStmt.filename ? COPIES_FROM_CLIENT : undefined
}

function viewOf({ ViewStmt, CreateTableAsStmt }: ParsedStatement['stmt']): string | undefined {
  const isMaterialized = CreateTableAsStmt?.objtype === 'OBJECT_MATVIEW'
  const relation = ViewStmt?.view ?? (isMaterialized ? CreateTableAsStmt?.into?.rel : undefined)
  if (!relation) return undefined
  const { schemaname, relname } = relation
  return (schemaname ? `${quoteIdentifier(schemaname)}.` : '') + quoteIdentifier(relname)
}

interface Relation {
  schemaname?: string
  relname: string
}

interface ParsedStatement {
  stmt: {
    TransactionStmt?: object
    CopyStmt?: { filename?: string }
    ViewStmt?: { view: Relation }
    CreateTableAsStmt?: { objtype: string; into?: { rel: Relation } }
  }
  /** Bytes; left out where 0. */
  stmt_location?: number
  /** Bytes; left out where the statement ends with the text. */
  stmt_len?: number
}
