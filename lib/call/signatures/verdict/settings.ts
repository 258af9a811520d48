import { FORMATS } from '../../formats.ts'
import { ANYTHING, type Code, leave, RESET } from './effects.ts'
import { castTo, type Tree, textOf } from './tree.ts'

/** Settings that decide how PostgreSQL writes values. */
const FORMAT_NAMES = new Set(Object.keys(FORMATS).map((name) => name.toLowerCase()))

/**
 * Settings that decide how PostgreSQL parses strings: after a change, the parser's result would be
 * wrong.
 */
const SYNTAX = /^(standard_conforming_strings|backslash_quote|plpgsql\..*)$/

/**
 * Settings whose effect outlives the transaction even with SET LOCAL: drawn random numbers are not
 * undone.
 */
const NEVER_LOCAL = new Set(['seed'])

/** Settings that have other values in a shared session. */
const OF_MODE = new Set([
  'transaction_read_only',
  'default_transaction_read_only',
  'statement_timeout',
])

/** Returns whether setting it leaves something in the session even with SET LOCAL. */
export function isNeverLocal(name: string): boolean {
  return NEVER_LOCAL.has(name.toLowerCase())
}

/** Records the effects of SET, RESET, SET LOCAL or SET TRANSACTION. */
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

/** Records the effects of `set_config(name, value, is_local)`. */
export function noteSetConfig(call: Tree, code: Code): void {
  code.writes = true
  if (!isTrue(argumentOf(call, 2, 'is_local'))) leave(code, RESET)
  const name = textOf(argumentOf(call, 0, 'setting_name'))
  if (name !== undefined) {
    noteName(name, code)
    return
  }
  code.altersFormats = true
  // The setting may be one that is never local.
  leave(code, RESET)
}

/** Records the effects of `current_setting(name, …)`. */
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

/**
 * Returns whether a constant is true. A cast counts only to the built-in boolean: another type may
 * have the same name.
 */
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
