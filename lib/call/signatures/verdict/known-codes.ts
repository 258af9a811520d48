import { createHash } from 'node:crypto'
import { Recent } from '../../../common/recent.ts'
import type { FunctionFacts, SchemaFacts } from '../facts.ts'
import type { Code } from './effects.ts'

/** Of what the definitions of functions come to, in characters: their codes take less. */
const MAX_KEPT = 16 * 1024 * 1024

/** What a code takes at least. */
const MIN_SIZE = 200

/**
 * What functions do by themselves, as their syntax trees told. A release changes a few functions of
 * thousands, and parsing one takes up to a millisecond.
 */
const kept = new Recent<Code>(MAX_KEPT)

/** Facts for the thread, without the definitions whose codes are known. */
export interface PartlyJudged {
  facts: SchemaFacts
  /** In the order of `facts.functions`. */
  codes: (Code | undefined)[]
  /** What the codes of the others are kept by. */
  keys: string[]
}

/** Finds what is known of the functions of a schema. */
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

/** Keeps the codes of functions, by their places in the schema. */
export function keepCodes({ facts, keys }: PartlyJudged, codes: [number, Code][]): void {
  for (const [place, code] of codes) {
    const size = MIN_SIZE + (facts.functions[place]!.definition?.length ?? 0)
    kept.set(keys[place]!, code, size)
  }
}

/** All that `codeOfFunction` looks at. */
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
