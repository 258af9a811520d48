import type {
  CreateFunctionStmt,
  DefineStmt,
  FunctionParameter,
  Node,
  RangeVar,
  SelectStmt,
  TypeName,
} from 'libpg-query'
import { sqlName, strings, typeOf } from './names.ts'
import { optionsOf } from './options.ts'

/** Kinds of objects that a deploy replaces. */
export type MadeKind =
  | 'function'
  | 'procedure'
  | 'aggregate'
  | 'view'
  | 'materialized view'
  | 'index'
  | 'type'
  | 'trigger'
  | 'policy'
  | 'rule'
  | 'cast'
  | 'operator'

/** A type in a statement: its name, or the column whose type it is (`t.c%type`). */
export type NamedType = string | { relation: string; column: string }

/** The object that a statement creates, as its syntax tree shows. */
export interface Made {
  kind: MadeKind
  /** Schema as written; null if the search_path decides. */
  schema: string | null
  /** Name without quotes; '' for a cast. */
  name: string
  /**
   * Types in the form of to_regtype: input types of a routine; both sides of a cast or operator,
   * null for a missing side; empty for other kinds.
   */
  types: (NamedType | null)[]
  /** Table of a trigger, policy, rule or index, in the form of to_regclass. */
  relation: string | null
  /** Whether the statement has OR REPLACE. */
  replaces: boolean
  /** Names of the settings in its SET or WITH clause. */
  sets: string[]
  /** Language of a function, in lower case. */
  language: string | null
  /** The search_path that the file has set before it; null if it has set none. */
  path: string[] | null
}

/** Returns the object that a statement creates; undefined if it is of no kind that is replaced. */
export function madeBy(stmt: Node, path: string[] | null): Made | undefined {
  const made = partsOf(stmt)
  if (!made) return undefined
  return {
    schema: null,
    types: [],
    relation: null,
    replaces: false,
    sets: [],
    language: null,
    path,
    ...made,
  }
}

type Parts = Pick<Made, 'kind' | 'name'> & Partial<Made>

function partsOf(stmt: Node): Parts | undefined {
  if ('CreateFunctionStmt' in stmt) return routine(stmt.CreateFunctionStmt)
  if ('DefineStmt' in stmt) return defined(stmt.DefineStmt)
  if ('ViewStmt' in stmt) {
    const { view, replace = false, options } = stmt.ViewStmt
    return relation('view', view, { replaces: replace, sets: optionNames(options) })
  }
  if ('CreateTableAsStmt' in stmt) {
    const { objtype, into } = stmt.CreateTableAsStmt
    if (objtype !== 'OBJECT_MATVIEW') return undefined
    return relation('materialized view', into?.rel, { sets: optionNames(into?.options) })
  }
  if ('IndexStmt' in stmt) {
    const { idxname, relation: on } = stmt.IndexStmt
    if (!idxname || !on) return undefined
    return { kind: 'index', schema: on.schemaname ?? null, name: idxname, relation: sqlName(on) }
  }
  if ('CreateTrigStmt' in stmt) {
    const { trigname = '', relation: on, replace = false } = stmt.CreateTrigStmt
    return on && { kind: 'trigger', name: trigname, relation: sqlName(on), replaces: replace }
  }
  if ('CreatePolicyStmt' in stmt) {
    const { policy_name = '', table } = stmt.CreatePolicyStmt
    return table && { kind: 'policy', name: policy_name, relation: sqlName(table) }
  }
  if ('RuleStmt' in stmt) {
    const { rulename = '', relation: on, replace = false } = stmt.RuleStmt
    if (!on || rulename === '_RETURN') return undefined
    return { kind: 'rule', name: rulename, relation: sqlName(on), replaces: replace }
  }
  if ('CreateCastStmt' in stmt) {
    const { sourcetype, targettype } = stmt.CreateCastStmt
    return { kind: 'cast', name: '', types: [sourcetype, targettype].map(namedOrNull) }
  }
  return typeMade(stmt)
}

function routine(stmt: CreateFunctionStmt): Parts {
  const { is_procedure, funcname, replace = false, parameters, options = [] } = stmt
  const language = optionsOf(options).get('language')
  return {
    kind: is_procedure ? 'procedure' : 'function',
    ...qualified(funcname),
    types: inputTypes(parameters),
    replaces: replace,
    sets: settingNames(options),
    language: (language ?? 'sql').toLowerCase(),
  }
}

function inputTypes(parameters: Node[] | undefined): NamedType[] {
  return (parameters ?? []).flatMap((one) => {
    if (!('FunctionParameter' in one)) return []
    const { mode, argType }: FunctionParameter = one.FunctionParameter
    const isInput = mode !== 'FUNC_PARAM_OUT' && mode !== 'FUNC_PARAM_TABLE'
    return isInput && argType ? [named(argType)] : []
  })
}

function defined(stmt: DefineStmt): Parts | undefined {
  const { kind, defnames, definition, args, oldstyle, replace = false } = stmt
  const option = (name: string) =>
    definition?.flatMap((one) =>
      'DefElem' in one && one.DefElem.defname?.toLowerCase() === name ? [one.DefElem.arg] : [],
    )[0]
  const typeOption = (name: string) => {
    const arg = option(name)
    return arg && 'TypeName' in arg ? named(arg.TypeName) : null
  }
  switch (kind) {
    case 'OBJECT_AGGREGATE': {
      const list = args?.[0]
      const base = oldstyle ? typeOption('basetype') : null
      const types = list && 'List' in list ? inputTypes(list.List.items) : base ? [base] : []
      return { kind: 'aggregate', ...qualified(defnames), types, replaces: replace }
    }
    case 'OBJECT_OPERATOR': {
      const types = [typeOption('leftarg'), typeOption('rightarg')]
      return { kind: 'operator', ...qualified(defnames), types }
    }
    case 'OBJECT_TYPE':
      return { kind: 'type', ...qualified(defnames) }
    default:
      return undefined
  }
}

function typeMade(stmt: Node): Parts | undefined {
  if ('CompositeTypeStmt' in stmt) return relation('type', stmt.CompositeTypeStmt.typevar)
  const names =
    ('CreateEnumStmt' in stmt && stmt.CreateEnumStmt.typeName) ||
    ('CreateDomainStmt' in stmt && stmt.CreateDomainStmt.domainname) ||
    ('CreateRangeStmt' in stmt && stmt.CreateRangeStmt.typeName)
  return names ? { kind: 'type', ...qualified(names) } : undefined
}

function relation(
  kind: MadeKind,
  at: RangeVar | undefined,
  more: Partial<Made> = {},
): Parts | undefined {
  const isTemporary = at?.relpersistence === 't' || at?.schemaname === 'pg_temp'
  if (!at?.relname || isTemporary) return undefined
  return { kind, schema: at.schemaname ?? null, name: at.relname, ...more }
}

function qualified(names: Node[] | undefined): { schema: string | null; name: string } {
  const [name = '', schema = null] = strings(names).reverse()
  return { schema, name }
}

function named(type: TypeName): NamedType {
  if (!type.pct_type) return typeOf(type).name
  const [column = '', table = '', schema] = strings(type.names).reverse()
  return { relation: sqlName({ relname: table, schemaname: schema }), column }
}

function namedOrNull(type: TypeName | undefined): NamedType | null {
  return type ? named(type) : null
}

function settingNames(options: Node[]): string[] {
  return options.flatMap((one) => {
    if (!('DefElem' in one) || one.DefElem.defname !== 'set') return []
    const { arg } = one.DefElem
    return arg && 'VariableSetStmt' in arg ? (arg.VariableSetStmt.name?.toLowerCase() ?? []) : []
  })
}

function optionNames(options: Node[] | undefined): string[] {
  return (options ?? []).flatMap((one) => ('DefElem' in one ? (one.DefElem.defname ?? []) : []))
}

/**
 * Returns the search_path that a statement sets for later ones: null if it resets it, undefined if
 * it does not set it.
 */
export function pathSetBy(stmt: Node): string[] | null | undefined {
  if ('SelectStmt' in stmt) return pathConfigured(stmt.SelectStmt)
  if (!('VariableSetStmt' in stmt)) return undefined
  const { name, kind, args = [] } = stmt.VariableSetStmt
  if (kind === 'VAR_RESET_ALL') return null
  if (name?.toLowerCase() !== 'search_path') return undefined
  if (kind !== 'VAR_SET_VALUE') return null
  return args.flatMap((arg) => ('A_Const' in arg ? (arg.A_Const.sval?.sval ?? '') : []))
}

/** Reads `select set_config('search_path', 'app, public', …)`, as at the top of a pg_dump. */
function pathConfigured({ targetList = [] }: SelectStmt): string[] | undefined {
  for (const target of targetList) {
    const value = 'ResTarget' in target ? target.ResTarget.val : undefined
    if (!value || !('FuncCall' in value)) continue
    const { funcname, args = [] } = value.FuncCall
    const [name, list] = args.map((arg) => ('A_Const' in arg ? arg.A_Const.sval : undefined))
    const isPath = strings(funcname).at(-1) === 'set_config' && name?.sval === 'search_path'
    if (isPath && list) return pathIn(list.sval ?? '')
  }
  return undefined
}

function pathIn(list: string): string[] {
  return [...list.matchAll(/"((?:[^"]|"")*)"|[^,\s]+/g)].map(([word, quoted]) =>
    quoted === undefined ? word.toLowerCase() : quoted.replaceAll('""', '"'),
  )
}
