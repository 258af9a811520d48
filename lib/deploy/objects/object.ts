import type { Made, MadeKind } from '../parser/makes.ts'

/** Classes of objects that share a namespace. */
export type ObjectClass =
  | 'routine'
  | 'relation'
  | 'type'
  | 'trigger'
  | 'policy'
  | 'rule'
  | 'cast'
  | 'operator'

/** An object in the ledger: created by a file, as it was right after that. */
export interface LedgerObject {
  kind: MadeKind
  /** Name as DROP needs it: `public.f(integer)`, `t on public.orders`. */
  identity: string
  /** Name without schema and quotes. */
  name: string
  /** Digest of the definition; null for kinds whose definition is not compared. */
  digest: string | null
  /** Settings from the SET or WITH clause of the file, as the catalogs write them. */
  settings: string[]
  /** SHA-256 of the statement, in hex. */
  statement: string
}

/** A ledger row; the first version of the ledger has kind and identity only. */
export type KnownObject = Pick<LedgerObject, 'kind' | 'identity'> & Partial<LedgerObject>

/** An existing object in a database. */
export interface FoundObject {
  kind: MadeKind
  oid: string
  /** The xmin of its catalog rows, separated by spaces. */
  version: string
  schema: string
  name: string
  /** Oids of its parameter types, separated by spaces. */
  types: string
  /** Oid of its table. */
  relation: string | null
  identity: string
  /** Identity as the first version of the ledger wrote it. */
  oldIdentity: string
  /** Digest of the definition; also null for a routine found without `whole`. */
  digest: string | null
  settings: string[]
  /** For a function: the validator of its language, as SQL names it. */
  validator: string | null
  body: string | null
}

const CLASSES: Record<MadeKind, ObjectClass> = {
  function: 'routine',
  procedure: 'routine',
  aggregate: 'routine',
  view: 'relation',
  'materialized view': 'relation',
  index: 'relation',
  type: 'type',
  trigger: 'trigger',
  policy: 'policy',
  rule: 'rule',
  cast: 'cast',
  operator: 'operator',
}

export function classOf(kind: MadeKind): ObjectClass {
  return CLASSES[kind]
}

/** Kinds without CREATE OR REPLACE. */
const NEVER_REPLACED = new Set<MadeKind>([
  'materialized view',
  'index',
  'type',
  'policy',
  'cast',
  'operator',
])

export function canReplace({ kind, replaces }: Made): boolean {
  return replaces && !NEVER_REPLACED.has(kind)
}

/**
 * Returns whether an object is created again only if its statement has changed, because it holds
 * data or other objects use it.
 */
export function isKept(kind: MadeKind): boolean {
  return NEVER_REPLACED.has(kind)
}

/** Returns whether the kind belongs to a table: its name includes the table, and it has no data. */
export function isOnTable(kind: MadeKind): boolean {
  return kind === 'trigger' || kind === 'policy' || kind === 'rule'
}

/** Returns the statement that drops an object and, with `cascade`, its dependants. */
export function dropStatement(
  { kind, identity }: Pick<LedgerObject, 'kind' | 'identity'>,
  cascade = false,
): string {
  const name = kind === 'aggregate' ? identity.replace(/\(\)$/, '(*)') : identity
  return `drop ${kind} if exists ${name}${cascade ? ' cascade' : ''}`
}

/** A file in the ledger. */
export interface KnownFile {
  checksum: string
  objects: KnownObject[]
}
