import type { Node, RangeVar } from 'libpg-query'
import type { SchemaFile } from '../../archive/archive.ts'
import { readStatement } from '../parser/parser.ts'
import type { Token } from '../parser/read.ts'
import type { Statement } from '../parser/statement.ts'
import type { Script } from '../run/run-file.ts'

/** A statement of a file, and what PostgreSQL's parser says of it. */
export interface Step {
  file: SchemaFile
  statement: Statement
  /** Undefined where the parser gave up on it. */
  node: Node | undefined
  tokens: Token[]
  declares: Declaration | undefined
}

/** The kinds of types that files declare, as people call them. */
export type TypeKind = 'enum' | 'composite type' | 'domain' | 'range type'

/** Something that a statement creates. A name without a schema has `schema` null. */
export interface Declaration {
  kind: TypeKind | 'table' | 'sequence'
  schema: string | null
  name: string
}

/** A place in a statement's text that names something. */
export interface Mention {
  /** `itself`: the type that the statement creates; `own sequence`: that of an identity column. */
  what: 'relation' | 'type' | 'itself' | 'own sequence'
  schema: string | null
  name: string
  /** Bytes of the text before the name. */
  start: number
  /** Bytes of the text before the end of its schema; `start` where it has none. */
  schemaEnd: number
}

/** The statements of each file, as PostgreSQL's parser reads them. */
export function readSteps(scripts: Script[]): Promise<Step[][]> {
  return Promise.all(
    scripts.map(({ file, statements }) =>
      Promise.all(statements.map((statement) => stepOf(file, statement))),
    ),
  )
}

/** An archive goes to many databases; its statements are read once. */
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

/** What the statement creates, if it is a type, a table that stays, or a sequence. */
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

/** The table that a statement is about: that of an index, a trigger, an `alter table`, … */
export function subjectOf(node: Node): RangeVar | undefined {
  const [body] = Object.values(node) as { relation?: RangeVar; table?: RangeVar }[]
  return body?.relation ?? body?.table
}

const SEQUENCE_OPTIONS = new Set(['sequence_name', 'owned_by'])

/**
 * The places in a statement that name a relation or a type; those of the type that it creates and
 * of the sequences that belong to its identity columns included.
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
    // A composite type's own name looks like a relation's.
    if (relname && key !== 'typevar' && !catalogname) {
      found.push(mention('relation', [relname, schemaname], location))
    }
    if (names && typemod !== undefined) {
      found.push(mention('type', stringsOf(names).reverse(), location))
    }
    // SEQUENCE NAME name, OWNED BY name.column: the location is that of the first word.
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
    // CREATE TYPE name, CREATE DOMAIN name: the parser tells no location of it.
    const start = tokens[2]?.start ?? 0
    found.push(mention('itself', [declares.name, declares.schema], start))
  }
  return found
}

/** What the nodes have in them that name something (RangeVar, TypeName, DefElem). */
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

/** Whether the statement drops what a Declaration makes. */
export function isDrop({ node }: Step): boolean {
  return node !== undefined && 'DropStmt' in node && DROPPED.has(node.DropStmt.removeType)
}

/**
 * Puts groups of statements behind those that make what they refer to, as far as that goes: types
 * behind types, tables behind the tables of their foreign keys. Otherwise they stay in order.
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
