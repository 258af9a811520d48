import { createHash } from 'node:crypto'
import { Recent } from '../../../common/recent.ts'
import type { FunctionFacts, SchemaFacts } from '../facts.ts'
import type { Code } from './effects.ts'

/** Capacity of the cache, in characters of function definitions; their codes take less memory. */
const MAX_KEPT = 16 * 1024 * 1024

/** Minimum size that is counted for a code. */
const MIN_SIZE = 200

/**
 * Cache of the codes of functions. A release changes a few functions of thousands, and parsing one
 * takes up to a millisecond.
 */
const kept = new Recent<Code>(MAX_KEPT)

/** Facts for the thread, without the definitions of functions whose codes are cached. */
export interface PartlyJudged {
  facts: SchemaFacts
  /** Cached codes, in the order of `facts.functions`. */
  codes: (Code | undefined)[]
  /** Cache keys, in the same order. */
  keys: string[]
}

/** Looks up the cached codes of a schema's functions. */
export function withKnownCodes(facts: SchemaFacts): PartlyJudged {
  const { volatileBuiltins, hasOddStrings } = facts
  const world = JSON.stringify([volatileBuiltins, hasOddStrings])
  const shared = createHash('sha256').update(world)
  const keys = facts.functions.map((one) => keyOf(one, shared.copy()))
  const codes = keys.map((key) => kept.get(key))
  const functions = facts.functions.map((one, i) =>
    codes[i] && one.definition !== null ? { ...one, definition: '' } : one,
  )
  return { facts: { ...facts, functions }, codes, keys }
}

/** Caches the codes of functions, given by their indexes in the schema. */
export function keepCodes({ facts, keys }: PartlyJudged, codes: [number, Code][]): void {
  for (const [place, code] of codes) {
    const size = MIN_SIZE + (facts.functions[place]!.definition?.length ?? 0)
    kept.set(keys[place]!, code, size)
  }
}

/** Hashes everything that `codeOfFunction` depends on. */
function keyOf(
  { name, language, kind, volatility, isBuiltin, definition, settings, parts }: FunctionFacts,
  hash: ReturnType<typeof createHash>,
): string {
  const rest = JSON.stringify([name, language, kind, volatility, isBuiltin, settings, parts])
  return hash
    .update(rest)
    .update(definition ?? '')
    .digest('base64')
}
