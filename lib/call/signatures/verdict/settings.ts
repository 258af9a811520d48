import { FORMATS } from '../../formats.ts'
import { ANYTHING, type Code, leave, RESET } from './effects.ts'
import { castTo, type Tree, textOf } from './tree.ts'

/** They decide how PostgreSQL writes values. */
const FORMAT_NAMES = new Set(Object.keys(FORMATS).map((name) => name.toLowerCase()))

/** They decide how it reads texts: what the parser made of the function would be wrong. */
const SYNTAX = /^(standard_conforming_strings|backslash_quote|plpgsql\..*)$/

/** What a transaction sets them to outlives it: no number that was drawn is taken back. */
const NEVER_LOCAL = new Set(['seed'])

/** A shared session has values of its own of them. */
const OF_MODE = new Set([
  'transaction_read_only',
  'default_transaction_read_only',
  'statement_timeout',
])

/** Whether setting it leaves something in the session even where it is set for a transaction. */
export function isNeverLocal(name: string): boolean {
  return NEVER_LOCAL.has(name.toLowerCase())
}

/** SET, RESET, SET LOCAL, SET TRANSACTION. */
export function noteSet(stmt: Tree, code: Code): void {
  code.writes = true
  const {
    kind,
    name,
    is_local: isLocal,
  } = stmt as { kind: string; name?: string; is_local?: boolean }
  if (!isLocal) leave(code, RESET)
  if (kind === 'VAR_RESET_ALL' || name === undefined) code.altersFormats = true
  else noteName(name, code)
}

/** `set_config(name, value, is_local)`. */
export function noteSetConfig(call: Tree, code: Code): void {
  code.writes = true
  if (!isTrue(argumentOf(call, 2, 'is_local'))) leave(code, RESET)
  const name = textOf(argumentOf(call, 0, 'setting_name'))
  if (name !== undefined) {
    noteName(name, code)
    return
  }
  code.altersFormats = true
  // It may be one that is never local.
  leave(code, RESET)
}

/** `current_setting(name, …)`. */
export function noteCurrentSetting(call: Tree, code: Code): void {
  const name = textOf(argumentOf(call, 0, 'setting_name'))
  if (name === undefined || OF_MODE.has(name.toLowerCase())) code.handles = true
}

function argumentOf(call: Tree, place: number, name: string): Tree | undefined {
  const args = (call.args ?? []) as { NamedArgExpr?: { name: string; arg: Tree } }[]
  const named = args.find(({ NamedArgExpr }) => NamedArgExpr?.name === name)
  return named?.NamedArgExpr?.arg ?? args[place]
}

function noteName(name: string, code: Code): void {
  const folded = name.toLowerCase()
  if (FORMAT_NAMES.has(folded)) code.altersFormats = true
  if (isNeverLocal(folded)) leave(code, RESET)
  if (SYNTAX.test(folded)) leave(code, ANYTHING)
}

/** Only of what PostgreSQL itself takes for true: a type with the same name may be another. */
function isTrue(tree: Tree | undefined): boolean {
  const { A_Const, TypeCast } = (tree ?? {}) as {
    A_Const?: { boolval?: { boolval?: boolean } }
    TypeCast?: Tree
  }
  if (TypeCast) {
    const isBoolean = castTo(TypeCast) === 'pg_catalog.bool'
    return isBoolean && /^(t|true)$/.test(textOf(TypeCast.arg as Tree) ?? '')
  }
  return A_Const?.boolval?.boolval === true
}
