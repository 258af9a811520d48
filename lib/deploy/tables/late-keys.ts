import type { Constraint, CreateStmt } from 'libpg-query'
import type { Sent } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'

import { StatementError, withoutAdded } from '../failure.ts'
import { NO_FACTS } from '../parser/facts.ts'
import { sqlName } from '../parser/names.ts'
import { readStatement } from '../parser/parser.ts'
import type { Token } from '../parser/read.ts'
import { type Statement, unread } from '../parser/statement.ts'
import { type Script, sendScript } from '../run/run-file.ts'

/** A foreign key that was taken out of a CREATE TABLE, as an ALTER TABLE. */
export interface LateKey {
  script: Script
  /** The CREATE TABLE without the key. */
  table: Statement
  /** Characters that the ALTER TABLE has before the text of the file. */
  lead: number
}

/**
 * Takes foreign keys to tables of later statements out of their CREATE TABLE, so that tables can
 * refer to each other. Blanks replace the key, so that positions stay the same. A key stays in
 * place if its column continues after it (COLLATE).
 */
export async function cutLateKeys(
  scripts: Script[],
): Promise<{ scripts: Script[]; late: LateKey[] }> {
  const places = new Map<string, number>()
  const all = scripts.flatMap(({ statements }) => statements)
  for (const [place, { facts }] of all.entries()) {
    if (facts.kind !== 'CreateStmt') continue
    for (const name of facts.makes) if (!places.has(name)) places.set(name, place)
  }
  const late: LateKey[] = []
  let place = -1
  const left: Script[] = []
  for (const { file, statements } of scripts) {
    const kept: Statement[] = []
    for (const statement of statements) {
      place++
      const isLate = (name: string) => (places.get(name) ?? -1) > place
      const cut = await cutFrom(statement, isLate)
      kept.push(cut.table)
      for (const { statement, lead } of cut.keys) {
        late.push({ script: { file, statements: [statement] }, table: cut.table, lead })
      }
    }
    left.push({ file, statements: kept })
  }
  return { scripts: left, late }
}

/** Sends a late key; the position of an error refers to its file. */
export function sendLateKey(sql: Sql, { script, lead }: LateKey): Sent {
  return sendScript(sql, script)[0]!.catch((error: unknown) => {
    if (error instanceof StatementError) withoutAdded(error.error, lead)
    throw error
  })
}

interface Cut {
  table: Statement
  keys: { statement: Statement; lead: number }[]
}

async function cutFrom(table: Statement, isLate: (name: string) => boolean): Promise<Cut> {
  const uncut = { table, keys: [] }
  if (table.facts.kind !== 'CreateStmt' || !/references/i.test(table.text)) return uncut
  const { node, tokens } = await readStatement(table.text)
  if (!node || !('CreateStmt' in node)) return uncut
  const bytes = Buffer.from(table.text)
  const keys = keysOf(node.CreateStmt).filter(({ to }) => isLate(to))
  const found = keys.flatMap((key) => findText({ bytes, tokens }, key) ?? [])
  if (found.length === 0) return uncut
  const units = (byte: number) => bytes.toString('utf8', 0, byte).length
  let text = table.text
  for (const { blanks } of found) {
    for (const { start, end } of blanks) {
      const [from, to] = [units(start), units(end)]
      text = text.slice(0, from) + text.slice(from, to).replace(/[^\n]/g, ' ') + text.slice(to)
    }
  }
  const { relation } = node.CreateStmt
  const cut: Cut = { table: { ...table, text }, keys: [] }
  for (const { start, end, added } of found) {
    const lead = `alter table ${sqlName(relation!)} add ${added}`
    const statement = unread(lead + bytes.toString('utf8', start, end), table.offset + units(start))
    statement.facts = { ...NO_FACTS, kind: 'AlterTableStmt', alters: relation!.relname ?? '' }
    cut.keys.push({ statement, lead: [...lead].length })
  }
  return cut
}

/** A foreign key of a CREATE TABLE. */
interface Key {
  /** Name (without schema) of the table that it refers to. */
  to: string
  name: string | undefined
  /** Offset in the statement, in bytes. */
  location: number
  /** Its column; undefined for a table constraint. */
  column: string | undefined
  /** Offsets of the column's other constraints, in bytes. */
  beside: Set<number>
}

function keysOf({ tableElts = [] }: CreateStmt): Key[] {
  return tableElts.flatMap((element) => {
    if ('Constraint' in element) return keyOf(element.Constraint, undefined, [])
    if (!('ColumnDef' in element)) return []
    const { colname, constraints = [] } = element.ColumnDef
    const all = constraints.flatMap((one) => ('Constraint' in one ? one.Constraint : []))
    return all.flatMap((one) => keyOf(one, colname, all))
  })
}

function keyOf(one: Constraint, column: string | undefined, all: Constraint[]): Key[] {
  const { contype, pktable, conname, location = 0 } = one
  if (contype !== 'CONSTR_FOREIGN' || !pktable?.relname) return []
  // DEFERRABLE and the like belong to the preceding constraint.
  const others = all.filter(({ contype }) => !contype?.startsWith('CONSTR_ATTR_'))
  const beside = new Set(others.map(({ location = 0 }) => location))
  return [{ to: pktable.relname, name: conname, location, column, beside }]
}

interface Place {
  start: number
  end: number
}

interface KeyText extends Place {
  /** Text to put before the key in an ALTER TABLE. */
  added: string
  /** Parts to blank in the CREATE TABLE; for a table constraint, with a comma. */
  blanks: Place[]
}

interface Source {
  bytes: Buffer
  tokens: Token[]
}

function findText({ bytes, tokens }: Source, key: Key): KeyText | undefined {
  const { location, column, name, beside } = key
  const word = (i: number) =>
    tokens[i] ? bytes.toString('utf8', tokens[i].start, tokens[i].end).toLowerCase() : ''
  const first = tokens.findIndex(({ start }) => start === location)
  if (first < 0) return undefined
  let references = first
  let depth = 0
  let next = first
  for (; next < tokens.length; next++) {
    const text = word(next)
    const isOther = next > first && beside.has(tokens[next]!.start)
    if (depth === 0 && (text === ',' || text === ')' || isOther)) break
    if (depth === 0 && text === 'collate') return undefined
    if (depth === 0 && text === 'references') references = next
    if (text === '(') depth++
    if (text === ')') depth--
  }
  const end = tokens[next - 1]!.end
  const own = { start: location, end }
  if (column !== undefined) {
    const named = name === undefined ? '' : `constraint ${quoteIdentifier(name)} `
    const added = `${named}foreign key (${quoteIdentifier(column)}) `
    return { start: tokens[references]!.start, end, added, blanks: [own] }
  }
  const comma = word(first - 1) === ',' ? first - 1 : next
  const blanks = word(comma) === ',' ? [own, tokens[comma]!] : [own]
  return { ...own, added: '', blanks }
}
