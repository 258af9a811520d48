import type { Made, MadeKind } from '../parser/makes.ts'

/** Kinds that share their names. */
export type ObjectClass =
  | 'routine'
  | 'relation'
  | 'type'
  | 'trigger'
  | 'policy'
  | 'rule'
  | 'cast'
  | 'operator'

/** An object as a ledger knows it: what a file made, and how that was then. */
export interface LedgerObject {
  kind: MadeKind
  /** As SQL names it where it is dropped: `public.f(integer)`, `t on public.orders`. */
  identity: string
  /** Without schema and quotes. */
  name: string
  /** Of its definition; null where it has none that is compared. */
  digest: string | null
  /** What the file's own SET or WITH has set, as the catalogs write it. */
  settings: string[]
  /** SHA-256 of the statement, in hex. */
  statement: string
}

/** A row of a ledger of the first version has kind and identity alone. */
export type KnownObject = Pick<LedgerObject, 'kind' | 'identity'> & Partial<LedgerObject>

/** An object that a database has. */
export interface FoundObject {
  kind: MadeKind
  oid: string
  /** The ids of the transactions, or parts of them, that made or changed it, with spaces between. */
  version: string
  schema: string
  name: string
  /** The oids of its types, with spaces between. */
  types: string
  /** The oid of its table. */
  relation: string | null
  identity: string
  /** The identity as the first version of the ledger wrote it. */
  oldIdentity: string
  /** Null of a routine, too, that was not asked for as a whole. */
  digest: string | null
  settings: string[]
  /** Of a function: what checks its body, as SQL names it. */
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

/** Kinds that CREATE OR REPLACE does not know. */
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

/** Made anew only where its statement is another one: what it holds, or what uses it, stays. */
export function isKept(kind: MadeKind): boolean {
  return NEVER_REPLACED.has(kind)
}

/** It is named with its table, holds nothing, and goes with the table. */
export function isOnTable(kind: MadeKind): boolean {
  return kind === 'trigger' || kind === 'policy' || kind === 'rule'
}

/** The statement that drops an object and, with `cascade`, what depends on it. */
export function dropStatement(
  { kind, identity }: Pick<LedgerObject, 'kind' | 'identity'>,
  cascade = false,
): string {
  const name = kind === 'aggregate' ? identity.replace(/\(\)$/, '(*)') : identity
  return `drop ${kind} if exists ${name}${cascade ? ' cascade' : ''}`
}

/** A file as the ledger has it. */
export interface KnownFile {
  checksum: string
  objects: KnownObject[]
}
