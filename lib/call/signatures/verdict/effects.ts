import { type Afterwards, noVerdict, type Verdict } from './verdict.ts'

/** What may be left in a session; the larger ones go before the smaller ones. */
export const NOTHING = 0
export const RESET = 1
/** It runs a text that is not known. */
export const ANYTHING = 2
export const CLOSE = 3

/** What a piece of code does by itself. */
export interface Effects {
  /** It does more than reading, as `Verdict.reads` defines it. */
  writes: boolean
  handles: boolean
  leaves: number
  altersFormats: boolean
  commits: boolean
}

export function noEffects(): Effects {
  return { writes: false, handles: false, leaves: NOTHING, altersFormats: false, commits: false }
}

/** Of code that nothing is known of, which leaves `leaves`. */
export function unknownEffects(leaves: number): Effects {
  return { writes: true, handles: true, leaves, altersFormats: true, commits: true }
}

export function add(to: Effects, more: Effects): void {
  to.writes ||= more.writes
  to.handles ||= more.handles
  to.leaves = Math.max(to.leaves, more.leaves)
  to.altersFormats ||= more.altersFormats
  to.commits ||= more.commits
}

/** Notes that it leaves this in its session. */
export function leave(to: Effects, what: number): void {
  to.leaves = Math.max(to.leaves, what)
}

/** `anything`: what is left in a session by a text that does the worst that this database has. */
export function toVerdict(effects: Effects, anything: Afterwards): Verdict {
  const { writes, handles, leaves, altersFormats, commits } = effects
  if (leaves === ANYTHING) return noVerdict(anything)
  const afterwards = leaves === CLOSE ? 'close' : leaves === RESET ? 'reset' : 'keep'
  const reads = !writes && afterwards === 'keep'
  return { reads, handles, afterwards, altersFormats, commits }
}

/** A piece of code: what it does by itself, and whom it names. */
export interface Code extends Effects {
  /** Functions that it calls. */
  calls: Set<string>
  /** `x.name`: a column, or a function of a row. */
  attributes: Set<string>
  /** Relations that it names. */
  relations: Set<string>
  /** Those that it writes. */
  written: Set<string>
  /** Those that it truncates with CASCADE. */
  truncated: Set<string>
  /** It defines something, so that event triggers fire. */
  defines: boolean
}

export function noCode(): Code {
  return {
    ...noEffects(),
    calls: new Set(),
    attributes: new Set(),
    relations: new Set(),
    written: new Set(),
    truncated: new Set(),
    defines: false,
  }
}
