import type { Node, RangeVar } from 'libpg-query'
import type { SchemaFile } from '../../archive/archive.ts'
import { readStatement } from '../parser/parser.ts'
import type { Token } from '../parser/read.ts'
import type { Statement } from '../parser/statement.ts'
import type { Script } from '../run/run-file.ts'

/** A statement of a file with its syntax tree. */
export interface Step {
  file: SchemaFile
  statement: Statement
  /** Undefined if the text could not be parsed. */
  node: Node | undefined
  tokens: Token[]
  declares: Declaration | undefined
}

/** Kinds of types that files declare, as messages name them. */
export type TypeKind = 'enum' | 'composite type' | 'domain' | 'range type'

/** An object that a statement creates; `schema` is null if the statement names none. */
export interface Declaration {
  kind: TypeKind | 'table' | 'sequence'
  schema: string | null
  name: string
}

/** An occurrence of a name in a statement's text. */
export interface Mention {
  /** `itself`: the type that the statement creates; `own sequence`: that of an identity column. */
  what: 'relation' | 'type' | 'itself' | 'own sequence'
  schema: string | null
  name: string
  /** Offset of the name, in bytes. */
  start: number
  /** Offset of the end of its schema, in bytes; `start` if it has none. */
  schemaEnd: number
}

/** Parses the statements of each file. */
export function readSteps(scripts: Script[]): Promise<Step[][]> {
  return Promise.all(
    scripts.map(({ file, statements }) =>
      Promise.all(statements.map((statement) => stepOf(file, statement))),
    ),
  )
}

/** Parsed statements. An archive goes to many databases, and its statements are parsed once. */
const read = new WeakMap<Statement, Promise<Step>>()

function stepOf(file: SchemaFile, statement: Statement): Promise<Step> {
  const known = read.get(statement)
  if (known) return known
  const step = readStatement(statement.text).then(({ node, tokens }) => ({
    file,
    statement,
    node,
    tokens,
    declares: node && declarationOf(node),
  }))
  read.set(statement, step)
  step.catch(() => read.delete(statement))
  return step
}

/** Returns the type, permanent table or sequence that a statement creates. */
function declarationOf(node: Node): Declaration | undefined {
  if ('CreateEnumStmt' in node) return named('enum', node.CreateEnumStmt.typeName)
  if ('CreateDomainStmt' in node) return named('domain', node.CreateDomainStmt.domainname)
  if ('CreateRangeStmt' in node) return named('range type', node.CreateRangeStmt.typeName)
  if ('CompositeTypeStmt' in node) return located('composite type', node.CompositeTypeStmt.typevar)
  if ('CreateStmt' in node) return located('table', node.CreateStmt.relation)
  if ('CreateForeignTableStmt' in node) {
    return located('table', node.CreateForeignTableStmt.base?.relation)
  }
  if ('CreateSeqStmt' in node) return located('sequence', node.CreateSeqStmt.sequence)
  return undefined
}

function named(kind: Declaration['kind'], names: Node[] | undefined): Declaration | undefined {
  const [name, schema = null] = stringsOf(names).reverse()
  return name === undefined ? undefined : { kind, schema, name }
}

function located(kind: Declaration['kind'], at: RangeVar | undefined): Declaration | undefined {
  if (!at?.relname || at.relpersistence === 't' || at.schemaname === 'pg_temp') return undefined
  return { kind, schema: at.schemaname ?? null, name: at.relname }
}

function stringsOf(names: Node[] | undefined): string[] {
  return (names ?? []).map((name) => ('String' in name ? (name.String.sval ?? '') : ''))
}

/** Returns the table that a statement is about: of an index, a trigger, an ALTER TABLE, … */
export function subjectOf(node: Node): RangeVar | undefined {
  const [body] = Object.values(node) as { relation?: RangeVar; table?: RangeVar }[]
  return body?.relation ?? body?.table
}

const SEQUENCE_OPTIONS = new Set(['sequence_name', 'owned_by'])

/**
 * Returns the names of relations and types in a statement, including the type that it creates and
 * the sequences that its identity columns own.
 */
export function mentionsIn({ node, tokens, declares }: Step): Mention[] {
  const mention = (
    what: Mention['what'],
    names: (string | undefined | null)[],
    start: number,
  ): Mention => {
    const name = names[0] ?? ''
    const schema = names[1] ?? null
    const end = schema === null ? start : tokens.find((token) => token.start === start)?.end
    return { what, name, schema, start, schemaEnd: end ?? start }
  }

  const found: Mention[] = []
  for (const [key, object] of objectsIn(node)) {
    const { relname, schemaname, catalogname, location = 0, names, typemod, defname, arg } = object
    // The name of a composite type appears as a relation in the tree.
    if (relname && key !== 'typevar' && !catalogname) {
      found.push(mention('relation', [relname, schemaname], location))
    }
    if (names && typemod !== undefined) {
      found.push(mention('type', stringsOf(names).reverse(), location))
    }
    // For SEQUENCE NAME name and OWNED BY name.column, the location is that of the first word.
    if (defname && SEQUENCE_OPTIONS.has(defname) && arg && 'List' in arg) {
      const index = tokens.findIndex((token) => token.start === location)
      const start = tokens[index + 2]?.start
      const name = stringsOf(arg.List.items).reverse()
      if (index < 0 || start === undefined) continue
      if (defname === 'sequence_name') found.push(mention('own sequence', name, start))
      else if (name.length > 1) found.push(mention('relation', name.slice(1), start))
    }
  }
  if (declares && declares.kind !== 'table' && declares.kind !== 'sequence') {
    // CREATE TYPE name, CREATE DOMAIN name: the tree has no location of the name.
    const start = tokens[2]?.start ?? 0
    found.push(mention('itself', [declares.name, declares.schema], start))
  }
  return found
}

/** Fields of nodes that contain names (RangeVar, TypeName, DefElem). */
interface AnyNode {
  relname?: string
  schemaname?: string
  catalogname?: string
  location?: number
  names?: Node[]
  typemod?: number
  defname?: string
  arg?: Node
}

function* objectsIn(value: unknown, key = ''): Generator<[string, AnyNode]> {
  if (typeof value !== 'object' || value === null) return
  if (Array.isArray(value)) {
    for (const item of value) yield* objectsIn(item, key)
    return
  }
  yield [key, value]
  for (const [name, inner] of Object.entries(value)) yield* objectsIn(inner, name)
}

const DROPPED = new Set<string | undefined>([
  'OBJECT_TYPE',
  'OBJECT_DOMAIN',
  'OBJECT_TABLE',
  'OBJECT_FOREIGN_TABLE',
  'OBJECT_SEQUENCE',
])

/** Returns whether the statement drops an object of a declared kind. */
export function isDrop({ node }: Step): boolean {
  return node !== undefined && 'DropStmt' in node && DROPPED.has(node.DropStmt.removeType)
}

/**
 * Sorts groups of statements so that each follows the groups that create what it refers to, as far
 * as there are no cycles: types after types, tables after the tables of their foreign keys.
 * Otherwise the order stays the same.
 */
export function sortByReference(groups: Step[][]): Step[][] {
  const makers = new Map<string, Step[]>()
  for (const steps of groups.toReversed()) {
    for (const { declares } of steps) if (declares) makers.set(declares.name, steps)
  }
  const sorted = new Set<Step[]>()
  const visited = new Set<Step[]>()
  const visit = (steps: Step[]) => {
    if (visited.has(steps)) return
    visited.add(steps)
    const own = new Set(steps.map(({ declares }) => declares?.name))
    for (const { name } of steps.flatMap(mentionsIn)) {
      const maker = makers.get(name)
      if (maker && !own.has(name)) visit(maker)
    }
    sorted.add(steps)
  }
  for (const steps of groups) visit(steps)
  return [...sorted]
}
