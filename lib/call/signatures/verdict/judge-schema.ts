import type { FunctionFacts, RelationFacts, SchemaFacts } from '../facts.ts'
import { add, CLOSE, type Code, type Effects, noEffects, RESET, toVerdict } from './effects.ts'
import {
  type Context,
  codeOfExpression,
  codeOfFunction,
  codeOfNames,
  codeOfReading,
  codeOfTruncating,
  codeOfWriting,
} from './read-code.ts'
import type { Afterwards, Verdict } from './verdict.ts'

/** A piece of code, and the keys of those that it reaches directly. */
interface Place {
  effects: Effects
  next: string[]
}

/** Known codes of functions, by their indexes in `facts.functions`. */
interface Codes {
  known: (Code | undefined)[]
  /** Called for each code that was read. */
  onRead(place: number, code: Code): void
}

/** Key of the code that may run in any call without being named: operators, casts, domains, … */
const HIDDEN = 'hidden'
const EVENT_TRIGGERS = 'event triggers'

/** Codes of relations, by the first character of a key. */
const CODE_OF_RELATION = { '<': codeOfReading, '>': codeOfWriting, '!': codeOfTruncating }

/**
 * Returns a verdict for each function that has a signature, in the order of `facts.functions`.
 * Follows calls by name in any schema, so that a verdict errs on the side of more effects. The
 * parser must be loaded. After `onBroken` it must not be used again.
 */
export function judgeSchema(
  facts: SchemaFacts,
  onBroken: () => void = () => {},
  codes: Codes = { known: [], onRead: () => {} },
): Verdict[] {
  const reach = new Reach(facts, onBroken, codes)
  const anything = worstOf(facts)
  return facts.functions
    .filter(({ signature }) => signature !== null)
    .map((one) => toVerdict(reach.effectsOf(one), anything))
}

/**
 * Returns what unknown SQL may leave in a session at worst: `close` if a function may leave
 * something that a reset does not undo.
 */
function worstOf({ functions }: SchemaFacts): Afterwards {
  const context = { isVolatile: () => true, hasOddStrings: false, onBroken: () => {} }
  const isWorst = (one: FunctionFacts) =>
    !one.isBuiltin &&
    one.kind !== 'aggregate' &&
    one.definition === null &&
    codeOfFunction(one, context).leaves === CLOSE
  return functions.some(isWorst) ? 'close' : 'reset'
}

class Reach {
  readonly #facts: SchemaFacts
  readonly #context: Context
  readonly #functions: Map<string, FunctionFacts[]>
  readonly #relations: Map<string, RelationFacts[]>
  readonly #codes = new Map<FunctionFacts, Code>()
  readonly #unread = new Map<FunctionFacts, number>()
  readonly #onRead: Codes['onRead']
  readonly #places = new Map<string, Place>()
  #hidden: Effects | undefined

  constructor(facts: SchemaFacts, onBroken: () => void, { known, onRead }: Codes) {
    this.#facts = facts
    this.#onRead = onRead
    for (const [place, one] of facts.functions.entries()) {
      const code = known[place]
      if (code) this.#codes.set(one, code)
      else this.#unread.set(one, place)
    }
    const volatile = new Set(facts.volatileBuiltins)
    this.#context = {
      isVolatile: (name) => volatile.has(name),
      hasOddStrings: facts.hasOddStrings,
      onBroken,
    }
    this.#functions = byName(facts.functions.filter(({ isBuiltin }) => !isBuiltin))
    this.#relations = byName(facts.relations)
  }

  /** Returns the effects of a call of the function, including all code that it reaches. */
  effectsOf(facts: FunctionFacts): Effects {
    this.#hidden ??= this.#follow([HIDDEN])
    const { effects, next } = this.#placeOf(this.#codeOf(facts))
    const all = { ...effects }
    add(all, this.#hidden)
    add(all, this.#follow(next))
    if (facts.kind === 'procedure') {
      // A procedure may have transactions of its own, and settings that outlive them.
      all.writes = true
      all.leaves = Math.max(all.leaves, RESET)
    }
    return all
  }

  #follow(from: string[]): Effects {
    const all = noEffects()
    const seen = new Set(from)
    for (const key of seen) {
      const { effects, next } = this.#place(key)
      add(all, effects)
      // Iteration of a Set includes elements that are added meanwhile.
      for (const other of next) seen.add(other)
    }
    return all
  }

  #place(key: string): Place {
    let place = this.#places.get(key)
    if (!place) {
      place = this.#placeOf(...this.#codesAt(key))
      this.#places.set(key, place)
    }
    return place
  }

  #codesAt(key: string): Code[] {
    const { hiddenFunctions, hiddenExpressions, eventTriggers } = this.#facts
    if (key === HIDDEN) {
      const expressions = hiddenExpressions.map((text) => codeOfExpression(text, this.#context))
      return [codeOfNames(hiddenFunctions, this.#context), ...expressions]
    }
    if (key === EVENT_TRIGGERS) return [codeOfNames(eventTriggers, this.#context)]
    const kind = key[0]
    const name = key.slice(1)
    const functions = this.#functions.get(name) ?? []
    if (kind === '(') return functions.map((one) => this.#codeOf(one))
    if (kind === '.') {
      return functions.filter((one) => one.isAttribute).map((one) => this.#codeOf(one))
    }
    const codeOf = CODE_OF_RELATION[kind as keyof typeof CODE_OF_RELATION]
    return (this.#relations.get(name) ?? []).map((one) => codeOf(one, this.#context))
  }

  #codeOf(facts: FunctionFacts): Code {
    let code = this.#codes.get(facts)
    if (!code) {
      code = codeOfFunction(facts, this.#context)
      this.#codes.set(facts, code)
      this.#onRead(this.#unread.get(facts)!, code)
    }
    return code
  }

  /**
   * Combines codes. Ignores names that the schema does not have: columns and built-in functions.
   */
  #placeOf(...codes: Code[]): Place {
    const effects = noEffects()
    const next = new Set<string>()
    for (const code of codes) {
      add(effects, code)
      for (const name of code.calls) if (this.#functions.has(name)) next.add(`(${name}`)
      for (const name of code.attributes) if (this.#functions.has(name)) next.add(`.${name}`)
      for (const name of code.relations) if (this.#relations.has(name)) next.add(`<${name}`)
      for (const name of code.written) if (this.#relations.has(name)) next.add(`>${name}`)
      for (const name of code.truncated) if (this.#relations.has(name)) next.add(`!${name}`)
      if (code.defines) next.add(EVENT_TRIGGERS)
    }
    return { effects, next: [...next] }
  }
}

function byName<T extends { name: string }>(all: T[]): Map<string, T[]> {
  const map = new Map<string, T[]>()
  for (const one of all) {
    const same = map.get(one.name)
    if (same) same.push(one)
    else map.set(one.name, [one])
  }
  return map
}
