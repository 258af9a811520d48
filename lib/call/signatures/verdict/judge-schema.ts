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

/** A piece of code, and the pieces that it reaches at once. */
interface Place {
  effects: Effects
  next: string[]
}

/** What functions do by themselves, by their places in the schema: as far as it is known. */
interface Codes {
  known: (Code | undefined)[]
  /** Told of those that were read. */
  onRead(place: number, code: Code): void
}

/** What runs in every call, named or not: operators, casts, domains, … */
const HIDDEN = 'hidden'
const EVENT_TRIGGERS = 'event triggers'

/** By the first letter of a place's key. */
const CODE_OF_RELATION = { '<': codeOfReading, '>': codeOfWriting, '!': codeOfTruncating }

/**
 * A verdict of each function that has a signature, in the order of `facts.functions`. What a
 * function reaches is followed by names, whatever schema they are in, so that it is rather too much
 * than too little. The parser has to be loaded; after `onBroken` it is not to be used again.
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

/** Anything is also what no reset reaches, where there is such a thing. */
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

  /** What a call of the function does, with all that it reaches. */
  effectsOf(facts: FunctionFacts): Effects {
    this.#hidden ??= this.#follow([HIDDEN])
    const { effects, next } = this.#placeOf(this.#codeOf(facts))
    const all = { ...effects }
    add(all, this.#hidden)
    add(all, this.#follow(next))
    if (facts.kind === 'procedure') {
      // It has transactions of its own, and settings that outlive them.
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
      // A set that grows is walked to its end.
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

  /** Names that nothing here has are left out: columns, and what is PostgreSQL's own. */
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
