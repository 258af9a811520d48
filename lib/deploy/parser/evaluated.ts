import type { Node } from 'libpg-query'
import { parsePlPgSQLSync, parseSync, scanSync } from '../../common/pg-parser.ts'
import { strings } from './names.ts'
import { optionsOf } from './options.ts'

/** Functions that expressions call, and relations that they read. */
export interface Evaluated {
  /** Names of functions; for `current_timestamp` and the like, of the equivalent function. */
  calls: string[]
  /** Names of relations, without schemas. */
  reads: string[]
}

/** What a file evaluates when it runs, as its syntax trees show. */
export interface FileValues extends Evaluated {
  /** Relations into which it writes rows. */
  writes: string[]
  /** Expressions evaluated when rows are written to a relation: defaults, triggers. */
  onWrite: ({ relation: string } & Evaluated)[]
  /** Expressions evaluated when a relation is read: views, policies. */
  onRead: ({ relation: string } & Evaluated)[]
  /** Functions that it creates, alters or renames and that are not IMMUTABLE afterwards. */
  makes: string[]
  /** Description of the part that its syntax trees do not show; null if there is none. */
  unknown: string | null
}

type Tree = Record<string, unknown>

/** Statements that change catalogs and evaluate nothing, or only immutable expressions. */
const CATALOG_ONLY = words(`
  CreateEnumStmt AlterEnumStmt
  CompositeTypeStmt CreateRangeStmt AlterTypeStmt CreateSeqStmt AlterSeqStmt
  AlterObjectSchemaStmt AlterOwnerStmt AlterDefaultPrivilegesStmt
  CreateOpClassStmt CreateOpFamilyStmt AlterOpFamilyStmt CreateExtensionStmt
  AlterExtensionStmt AlterExtensionContentsStmt CreateStatsStmt AlterStatsStmt
  CreateConversionStmt CreateFdwStmt AlterFdwStmt CreateForeignServerStmt
  AlterForeignServerStmt CreateUserMappingStmt AlterEventTrigStmt
  CreateTransformStmt CreateAmStmt CreatePublicationStmt AlterPublicationStmt ReindexStmt
  VacuumStmt ClusterStmt CreatePLangStmt AlterObjectDependsStmt AlterOperatorStmt
  AlterTSDictionaryStmt AlterTSConfigurationStmt AlterCollationStmt IndexStmt TruncateStmt
  LockStmt VariableSetStmt VariableShowStmt ConstraintsSetStmt DropOwnedStmt
`)

/** Statements that evaluate all of their expressions when they run. */
const EVALUATED = new Set([
  'SelectStmt',
  'InsertStmt',
  'UpdateStmt',
  'DeleteStmt',
  'MergeStmt',
  'CreateTableAsStmt',
  'RefreshMatViewStmt',
  'CreateDomainStmt',
  'AlterDomainStmt',
  'CreateEventTrigStmt',
])

const WRITING = new Set(['InsertStmt', 'UpdateStmt', 'MergeStmt'])

/**
 * Kinds of objects outside the database, whose properties CREATE DATABASE … TEMPLATE does not copy.
 */
const SHARED = new Set([
  'OBJECT_DATABASE',
  'OBJECT_ROLE',
  'OBJECT_TABLESPACE',
  'OBJECT_PARAMETER_ACL',
])

function words(text: string): Set<string> {
  return new Set(text.trim().split(/\s+/))
}

/** Reads a file. The parser must be loaded. */
export function valuesOf(text: string): FileValues {
  const values: FileValues = {
    calls: [],
    reads: [],
    writes: [],
    onWrite: [],
    onRead: [],
    makes: [],
    unknown: null,
  }
  try {
    noteText(text, values)
  } catch (error) {
    values.unknown = `a statement that the parser cannot read (${(error as Error).message})`
  }
  return values
}

function noteText(text: string, values: FileValues): void {
  const bytes = Buffer.from(text)
  for (const { stmt, stmt_location = 0, stmt_len } of parseSync(text).stmts ?? []) {
    const end = stmt_len ? stmt_location + stmt_len : bytes.length
    const own = () => bytes.toString('utf8', stmt_location, end)
    for (const [kind, node] of Object.entries(stmt ?? {})) {
      noteStatement(kind, node as Tree, own, values)
    }
  }
}

type Note = (node: Tree, values: FileValues, text: () => string) => void

const noteShared: Note = ({ objtype }, values) => {
  if (SHARED.has(objtype as string)) values.unknown ??= 'a statement about the database itself'
}

const notePolicy: Note = ({ table, qual, with_check }, values) =>
  addFor(values.onRead, table as Tree, evaluatedBy([qual, with_check]))

/** A later statement may replace or drop the function before the database is examined. */
const noteRoutine: Note = ({ funcname, options }, values) => noteMade(funcname, options, values)

const noteChangedRoutine: Note = ({ func, actions }, values) => {
  const setsVolatility = optionsOf(actions as Node[]).has('volatility')
  if (setsVolatility) noteMade((func as Tree).objname, actions, values)
}

const noteRenamed: Note = ({ renameType, newname }, values) => {
  if (ROUTINES.has(renameType as string)) values.makes.push(newname as string)
}

/** After DROP EXTENSION, the extension's functions look as if they had never existed. */
const noteDrop: Note = ({ removeType }, values) => {
  if (removeType === 'OBJECT_EXTENSION') values.unknown ??= 'DROP EXTENSION'
}

const ROUTINES = new Set(['OBJECT_FUNCTION', 'OBJECT_PROCEDURE', 'OBJECT_ROUTINE'])

function noteMade(name: unknown, options: unknown, values: FileValues): void {
  if (optionsOf(options as Node[] | undefined).get('volatility') === 'immutable') return
  values.makes.push(namesIn(name).at(-1) ?? '')
}

function namesIn(list: unknown): string[] {
  return strings(list as Parameters<typeof strings>[0])
}

/** An operator, cast or aggregate calls its functions implicitly, and may be dropped with them. */
const noteUnseen: Note = ({ kind, definition, func }, values) => {
  if (func !== undefined) values.calls.push(namesIn((func as Tree).objname).at(-1) ?? '')
  if (kind !== 'OBJECT_OPERATOR' && kind !== 'OBJECT_AGGREGATE') return
  visit(definition, (key, { names }) => {
    if (key === 'TypeName' && Array.isArray(names)) values.calls.push(namesIn(names).at(-1) ?? '')
  })
}

/** Handlers of the other statements that syntax trees describe completely. */
const NOTES: Record<string, Note> = {
  CreateStmt: noteTable,
  CreateForeignTableStmt: ({ base }, values) => noteTable(base as Tree, values),
  AlterTableStmt: ({ relation, cmds }, values) =>
    addFor(values.onWrite, relation as Tree, callsOf(cmds)),
  CreateTrigStmt: ({ relation, funcname, whenClause }, values) =>
    addFor(values.onWrite, relation as Tree, callsOf([{ funcname }, whenClause])),
  ViewStmt: ({ view, query }, values) => {
    addFor(values.onRead, view as Tree, evaluatedBy(query))
    // Rows written to a view go to the tables that it reads.
    addFor(values.onWrite, view as Tree, evaluatedBy(query))
  },
  CreatePolicyStmt: notePolicy,
  AlterPolicyStmt: notePolicy,
  CreateSchemaStmt: ({ schemaElts }, values, text) => {
    for (const element of (schemaElts as Tree[] | undefined) ?? []) {
      for (const [kind, one] of Object.entries(element)) {
        noteStatement(kind, one as Tree, text, values)
      }
    }
  },
  CommentStmt: noteShared,
  SecLabelStmt: noteShared,
  GrantStmt: noteShared,
  DoStmt: ({ args }, values, text) => noteDo(optionsOf(args as Node[]), text(), values),
  CreateFunctionStmt: noteRoutine,
  AlterFunctionStmt: noteChangedRoutine,
  RenameStmt: noteRenamed,
  DropStmt: noteDrop,
  DefineStmt: noteUnseen,
  CreateCastStmt: noteUnseen,
}

function noteStatement(kind: string, node: Tree, text: () => string, values: FileValues): void {
  if (CATALOG_ONLY.has(kind)) return
  if (EVALUATED.has(kind)) {
    note({ [kind]: node }, values, values.writes)
    const into = (node.into as Tree | undefined)?.rel as Tree | undefined
    if (kind === 'CreateTableAsStmt') addFor(values.onRead, into, evaluatedBy(node.query))
  } else if (NOTES[kind]) NOTES[kind](node, values, text)
  else values.unknown ??= `a statement of another kind (${kind.replace(/Stmt$/, '')})`
}

/** Records defaults, which are evaluated on INSERT, and partition bounds, evaluated at once. */
function noteTable(node: Tree, values: FileValues): void {
  const { relation, partbound, tableElts } = node as {
    relation: Tree
    partbound: unknown
    tableElts: unknown
  }
  note(partbound, values)
  const defaults: unknown[] = []
  visit(tableElts, (key, value) => {
    if (key === 'Constraint' && value.contype === 'CONSTR_DEFAULT') defaults.push(value.raw_expr)
  })
  addFor(values.onWrite, relation, callsOf(defaults))
}

function addFor(to: FileValues['onRead'], relation: Tree | undefined, evaluated: Evaluated): void {
  if (evaluated.calls.length + evaluated.reads.length === 0) return
  to.push({ relation: String(relation?.relname), ...evaluated })
}

function evaluatedBy(tree: unknown): Evaluated {
  const evaluated: Evaluated = { calls: [], reads: [] }
  note(tree, evaluated)
  return evaluated
}

/**
 * Returns the functions that an expression over a single row calls. Relations in it are left out:
 * they are only the targets of foreign keys.
 */
function callsOf(tree: unknown): Evaluated {
  return { ...evaluatedBy(tree), reads: [] }
}

const NOW = /^\s*(?:now|today|tomorrow|yesterday)(?:\s+[\d:.]+)?\s*$/i

/** Records what a tree calls and reads, and with `writes` the relations that it writes to. */
function note(tree: unknown, to: Evaluated, writes?: string[]): void {
  visit(tree, (key, value) => {
    const { funcname, relname, op, sval } = value
    if (Array.isArray(funcname)) to.calls.push(strings(funcname).at(-1) ?? '')
    if (key === 'SQLValueFunction') to.calls.push(...likeFunction(op as string))
    if (typeof relname === 'string') to.reads.push(relname)
    // As a date or time, such a literal changes daily; a syntax tree does not show its type.
    if (key === 'sval' && typeof sval === 'string' && NOW.test(sval)) to.calls.push('now')
    const { relation } = value as { relation?: { relname?: string } }
    if (writes && WRITING.has(key) && relation?.relname) writes.push(relation.relname)
  })
}

/** Returns the function that is equivalent to an SQL keyword. */
function likeFunction(op: string): string[] {
  if (op === 'SVFOP_CURRENT_CATALOG') return ['current_database']
  return /DATE|TIME/.test(op) ? ['now'] : []
}

function visit(tree: unknown, look: (key: string, value: Tree) => void, key = ''): void {
  if (Array.isArray(tree)) {
    for (const one of tree) visit(one, look, key)
  } else if (typeof tree === 'object' && tree !== null) {
    look(key, tree as Tree)
    for (const [name, value] of Object.entries(tree)) visit(value, look, name)
  }
}

/**
 * RawParseMode (source: parser/parser.h): 0 is a statement; others are expressions, assignments.
 */
const STATEMENT = 0

/** Reads a DO block in PL/pgSQL through its statements; dynamic SQL makes its effect unknown. */
function noteDo(options: Map<string, string>, text: string, values: FileValues): void {
  const language = (options.get('language') ?? 'plpgsql').toLowerCase()
  if (language !== 'plpgsql') values.unknown ??= `a block in ${language}`
  const block = parsePlPgSQLSync(text) as unknown
  let isDynamic = false
  visit(block, (key, value) => {
    if (/^PLpgSQL_stmt_dyn/.test(key) || 'dynquery' in value) isDynamic = true
    const { query, parseMode = STATEMENT } = value as { query?: string; parseMode?: number }
    if (key === 'PLpgSQL_expr' && query !== undefined && parseMode === STATEMENT) {
      noteText(query, values)
    }
  })
  if (isDynamic) values.unknown ??= 'dynamic SQL'
  const { tokens } = scanSync(options.get('as') ?? '')
  for (const [i, { text }] of tokens.entries()) {
    if (tokens[i + 1]?.text === '(') values.calls.push(text.toLowerCase().replaceAll('"', ''))
    if (/^(?:current_(?:date|time|timestamp)|localtime(?:stamp)?)$/i.test(text))
      values.calls.push('now')
    if (/^current_catalog$/i.test(text)) values.calls.push('current_database')
    if (NOW.test(text.replace(/^'(.*)'$/s, '$1'))) values.calls.push('now')
  }
}
