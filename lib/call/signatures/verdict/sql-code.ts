import { parseSync } from 'libpg-query'
import { ANYTHING, add, CLOSE, type Code, leave, RESET } from './effects.ts'
import { effectsOfBuiltin } from './known-routines.ts'
import { noteCurrentSetting, noteSet, noteSetConfig } from './settings.ts'
import { isTree, namesOf, type Tree } from './tree.ts'

/** CURSOR_OPT_HOLD (PostgreSQL source, parsenodes.h). */
const WITH_HOLD = 0x20

/** Statements that only read. */
const READING = new Set(['SelectStmt', 'ReturnStmt', 'RawStmt'])

const WRITING = new Set(['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt'])

/**
 * Statements that leave nothing in the session. Any statement outside these sets may leave
 * something.
 */
const HARMLESS = new Set([
  'TruncateStmt',
  'LockStmt',
  'CopyStmt',
  'NotifyStmt',
  'ConstraintsSetStmt',
  'ExplainStmt',
  'CallStmt',
  'FetchStmt',
  'ClosePortalStmt',
  'DeclareCursorStmt',
  'VariableShowStmt',
  'TransactionStmt',
  'RefreshMatViewStmt',
  'CommentStmt',
  'SecLabelStmt',
  'GrantStmt',
  'GrantRoleStmt',
  'VacuumStmt',
  'ClusterStmt',
  'CheckPointStmt',
])

/** Statements that run dynamic SQL or a prepared statement. */
const RUNS_TEXT = new Set(['DoStmt', 'PrepareStmt', 'ExecuteStmt'])

/** Statements that write their `relation` or `relations`. */
const WRITES_RELATION = new Set([
  ...WRITING,
  'TruncateStmt',
  'CopyStmt',
  'RefreshMatViewStmt',
  'VacuumStmt',
  'ReindexStmt',
  'ClusterStmt',
])

/**
 * Records the effects of the statements in a text.
 * @throws if it does not parse
 */
export function noteStatements(text: string, code: Code, isVolatile: IsVolatile): void {
  for (const { stmt } of parseSync(text).stmts ?? []) noteTree(stmt, code, isVolatile)
}

/**
 * Records the effects of an expression.
 * @throws if it does not parse
 */
export function noteExpression(text: string, code: Code, isVolatile: IsVolatile): void {
  noteStatements(`select ${text}`, code, isVolatile)
}

/** Returns whether the built-in function of that name is VOLATILE. */
export type IsVolatile = (name: string) => boolean

/** Records the effects of any syntax tree. */
export function noteTree(tree: unknown, code: Code, isVolatile: IsVolatile): void {
  if (Array.isArray(tree)) {
    for (const one of tree) noteTree(one, code, isVolatile)
    return
  }
  if (!isTree(tree)) return
  noteNode(tree, code, isVolatile)
  for (const [key, value] of Object.entries(tree)) {
    if (isTree(value)) {
      if (/^[A-Z]\w*Stmt$/.test(key)) noteStatement(key, value, code)
      noteTree(value, code, isVolatile)
    }
  }
}

function noteStatement(kind: string, stmt: Tree, code: Code): void {
  if (READING.has(kind)) return
  code.writes = true
  if (WRITES_RELATION.has(kind)) noteWritten(stmt, code)
  if (WRITING.has(kind)) return
  code.defines = true
  if (kind === 'VariableSetStmt') noteSet(stmt, code)
  else if (kind === 'DeclareCursorStmt') {
    if ((stmt.options as number) & WITH_HOLD) leave(code, RESET)
  } else if (RUNS_TEXT.has(kind)) {
    leave(code, ANYTHING)
    code.handles = code.altersFormats = true
  } else if (kind === 'LoadStmt') leave(code, CLOSE)
  // VACUUM without a table processes all, and the names of the functions in their indexes are
  // unknown.
  else if (!HARMLESS.has(kind) || (kind === 'VacuumStmt' && !stmt.rels)) leave(code, RESET)
  if (kind === 'DiscardStmt') code.altersFormats = true
}

function noteWritten(stmt: Tree, code: Code): void {
  const { relation, relations, rels } = stmt as {
    relation?: Tree
    relations?: Tree[]
    rels?: Tree[]
  }
  const all = [relation, ...(relations ?? []).map(({ RangeVar }) => RangeVar as Tree | undefined)]
  for (const one of rels ?? []) {
    all.push((one.VacuumRelation as { relation?: Tree } | undefined)?.relation)
  }
  const isCascading = stmt.behavior === 'DROP_CASCADE'
  for (const one of all) {
    if (typeof one?.relname !== 'string') continue
    noteWrittenName(one.relname, code)
    if (isCascading) code.truncated.add(one.relname)
  }
}

/** Records a write to a relation, direct or through a view that has it in its query. */
export function noteWrittenName(name: string, code: Code): void {
  code.written.add(name)
  // A rule of pg_settings sets the setting that is written.
  if (name !== 'pg_settings') return
  leave(code, RESET)
  code.altersFormats = true
}

/**
 * Records the effects of a node. Recognizes it by its members, because the parser omits the names
 * of many nodes.
 */
function noteNode(tree: Tree, code: Code, isVolatile: IsVolatile): void {
  const { relname, funcname, fields, indirection, intoClause, lockingClause } = tree
  if (typeof relname === 'string') {
    code.relations.add(relname)
    // pg_settings shows the settings of the session's mode.
    if (relname === 'pg_settings') code.handles = true
    if (tree.relpersistence === 't' || tree.schemaname === 'pg_temp') {
      code.writes = true
      leave(code, RESET)
    }
  }
  if (intoClause) {
    code.writes = code.defines = true
    leave(code, RESET)
  }
  if (lockingClause) code.writes = true
  if (Array.isArray(funcname)) noteCall(tree, namesOf(funcname), code, isVolatile)
  if (Array.isArray(fields) && fields.length > 1) {
    noteAttributes(namesOf(fields.slice(1)), code, isVolatile)
  }
  noteAttributes(namesOf(indirection), code, isVolatile)
}

/**
 * Records the names after the dots of `x.name`, which may be calls of functions of one argument.
 */
export function noteAttributes(names: string[], code: Code, isVolatile: IsVolatile): void {
  for (const name of names) {
    code.attributes.add(name)
    const effects = effectsOfBuiltin(name, isVolatile(name))
    if (effects) add(code, effects)
  }
}

function noteCall(call: Tree, names: string[], code: Code, isVolatile: IsVolatile): void {
  const name = names.at(-1)
  const schema = names.at(-2)
  if (name === undefined) return
  code.calls.add(name)
  // A temporary function, whose code is not in the facts.
  if (schema === 'pg_temp') {
    leave(code, ANYTHING)
    return
  }
  if (schema !== undefined && schema !== 'pg_catalog' && schema !== 'information_schema') return
  if (name === 'set_config') {
    noteSetConfig(call, code)
    return
  }
  if (name === 'current_setting') {
    noteCurrentSetting(call, code)
    return
  }
  const effects = effectsOfBuiltin(name, isVolatile(name))
  if (effects) add(code, effects)
}
