import type { Sql } from '../../postgres/pools/connection.ts'
import { functionKey, type ReadSchema } from './facts.ts'
import type { Look } from './look.ts'
import { type ReadOptions, readSchema } from './read-schema.ts'
import type { LooseSignature, Schema } from './schema.ts'
import type { SchemaCache } from './schema-caches.ts'
import { readStoredSchema, type StoredState, storeSignatures } from './stored-signatures.ts'
import { judge } from './verdict/judge.ts'

/**
 * Maximum number of known digests sent with a read, so that PostgreSQL does not return their facts.
 */
const MAX_TOLD = 64

export interface Learned extends StoredState {
  schema: Schema
  /** CHANGE_MARK, read before the version. */
  mark?: string | undefined
}

export interface LearnParts extends SchemaCache {
  /** Runs work in the administrative database. */
  administer<T>(work: (sql: Sql) => Promise<T>): Promise<T>
}

/** Runs work on a session of the database, which is held only for the work. */
export type UseSession = <T>(work: (sql: Sql) => Promise<T>) => Promise<T>

/**
 * Reads the schema of a database. A schema with an unknown digest is judged, which takes about a
 * millisecond for each function, and stored. If the print in `look` is known, nothing is read,
 * since a schema with the same print has been learned.
 */
export async function learn(use: UseSession, parts: LearnParts, look?: Look): Promise<Learned> {
  const seen = look && (await findPrinted(parts, look))
  if (seen) return seen
  const learned = await learnAnew(use, parts)
  // The versions are equal, so the print belongs to the schema that was read.
  if (look?.version === learned.version) parts.prints.set(look.print, learned.digest, 1)
  return learned
}

async function findPrinted(parts: LearnParts, look: Look): Promise<Learned | undefined> {
  const digest = parts.prints.get(look.print)
  const schema = digest === undefined ? undefined : await findStored(parts, digest)
  return typeof schema === 'object'
    ? { digest: schema.digest, version: look.version, schema }
    : undefined
}

async function learnAnew(use: UseSession, parts: LearnParts): Promise<Learned> {
  const { schemas, callableSchemas, administer } = parts
  const known = schemas.digests().slice(-MAX_TOLD)
  const readNow = (options: ReadOptions) => use((sql) => readSchema(sql, options))
  let read = await readNow({ callableSchemas, known })
  let schema = schemas.get(read.digest)
  if (schema) return { ...stateOf(read), schema, mark: read.mark }
  // The schema was known when the read began and has been dropped since.
  if (!read.facts) read = await readNow({ callableSchemas })
  const { digest } = read
  const stored = await findStored(parts, digest)
  if (typeof stored === 'object') schema = stored
  else {
    const functions = await judged(read)
    schema = schemas.add(digest, functions)
    await administer((admin) => storeSignatures(admin, digest, callableSchemas, functions))
  }
  return { ...stateOf(read), schema, mark: read.mark }
}

/**
 * Returns the schema of a digest, from memory or the administrative database; "foreign" if a
 * gateway with other callable schemas stored it.
 */
export async function findStored(
  { schemas, callableSchemas, administer }: LearnParts,
  digest: string,
): Promise<Schema | 'foreign' | undefined> {
  const known = schemas.get(digest)
  if (known) return known
  const stored = await administer((admin) => readStoredSchema(admin, digest, callableSchemas))
  return Array.isArray(stored) ? schemas.add(digest, stored) : stored
}

async function judged({ facts, texts }: ReadSchema): Promise<LooseSignature[]> {
  const verdicts = await judge(facts!)
  let i = 0
  const functions: LooseSignature[] = []
  for (const one of facts!.functions) {
    if (!one.signature) continue
    const text = texts.get(functionKey(one)) ?? one.signature.identity
    functions.push({ ...one.signature, text, verdict: verdicts[i++]! })
  }
  return functions
}

function stateOf({ digest, version }: ReadSchema): StoredState {
  return { digest, version }
}
