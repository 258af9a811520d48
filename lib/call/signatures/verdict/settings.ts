import { ANYTHING, type Code, RESET } from './effects.ts'
import { type Tree, textOf } from './tree.ts'

/** They decide how PostgreSQL writes values. */
const FORMATS =
  /^(timezone|datestyle|intervalstyle|bytea_output|extra_float_digits|lc_.*|xmloption|xmlbinary|client_encoding|quote_all_identifiers|search_path|array_nulls)$/

/** They decide how it reads texts: what the parser made of the function would be wrong. */
const SYNTAX = /^(standard_conforming_strings|backslash_quote|plpgsql\..*)$/

/** SET, RESET, SET LOCAL, SET TRANSACTION. */
export function noteSet(stmt: Tree, code: Code): void {
  code.writes = true
  const {
    kind,
    name,
    is_local: isLocal,
  } = stmt as { kind: string; name?: string; is_local?: boolean }
  if (!isLocal) code.leaves = Math.max(code.leaves, RESET)
  if (kind === 'VAR_RESET_ALL' || name === undefined) code.altersFormats = true
  else noteName(name, code)
}

/** `set_config(name, value, is_local)`. */
export function noteSetConfig(call: Tree, code: Code): void {
  code.writes = true
  const args = (call.args ?? []) as Tree[]
  const named = new Map<string, Tree>()
  for (const arg of args) {
    const { NamedArgExpr } = arg as { NamedArgExpr?: { name: string; arg: Tree } }
    if (NamedArgExpr) named.set(NamedArgExpr.name, NamedArgExpr.arg)
  }
  const isLocal = named.get('is_local') ?? args[2]
  if (!isTrue(isLocal)) code.leaves = Math.max(code.leaves, RESET)
  const name = textOf(named.get('setting_name') ?? args[0])
  if (name === undefined) {
    code.altersFormats = true
    // It may be one that decides how texts are read.
    return
  }
  noteName(name, code)
}

function noteName(name: string, code: Code): void {
  const folded = name.toLowerCase()
  if (FORMATS.test(folded)) code.altersFormats = true
  if (SYNTAX.test(folded)) code.leaves = Math.max(code.leaves, ANYTHING)
}

function isTrue(tree: Tree | undefined): boolean {
  const { A_Const, TypeCast } = (tree ?? {}) as {
    A_Const?: { boolval?: { boolval?: boolean } }
    TypeCast?: { arg: Tree }
  }
  if (TypeCast) return /^(t|true)$/.test(textOf(TypeCast.arg) ?? '') && isBoolean(TypeCast)
  return A_Const?.boolval?.boolval === true
}

function isBoolean(cast: Tree): boolean {
  return JSON.stringify(cast.typeName).includes('"sval":"bool"')
}
