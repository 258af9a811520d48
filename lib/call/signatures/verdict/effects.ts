import { type Afterwards, noVerdict, type Verdict } from './verdict.ts'

/** What code may leave in a session; a larger number includes the smaller ones. */
export const NOTHING = 0
export const RESET = 1
/** The code runs SQL that is not known in advance. */
export const ANYTHING = 2
export const CLOSE = 3

/** Effects of a piece of code, without those of the functions that it calls. */
export interface Effects {
  /** True: it does more than read, as `Verdict.reads` defines it. */
  writes: boolean
  handles: boolean
  leaves: number
  altersFormats: boolean
  commits: boolean
}

export function noEffects(): Effects {
  return { writes: false, handles: false, leaves: NOTHING, altersFormats: false, commits: false }
}

/** Returns the effects of unknown code that leaves `leaves`. */
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

/** Records that the code leaves this in its session. */
export function leave(to: Effects, what: number): void {
  to.leaves = Math.max(to.leaves, what)
}

/**
 * Converts effects to a verdict.
 * @param anything what unknown SQL may leave in a session of this database at worst
 */
export function toVerdict(effects: Effects, anything: Afterwards): Verdict {
  const { writes, handles, leaves, altersFormats, commits } = effects
  if (leaves === ANYTHING) return noVerdict(anything)
  const afterwards = leaves === CLOSE ? 'close' : leaves === RESET ? 'reset' : 'keep'
  const reads = !writes && afterwards === 'keep'
  return { reads, handles, afterwards, altersFormats, commits }
}

/** A piece of code: its own effects, and the names that it uses. */
export interface Code extends Effects {
  /** Names of functions that it calls. */
  calls: Set<string>
  /** Names in `x.name`: each is a column, or a function of a row. */
  attributes: Set<string>
  /** Names of the relations in it. */
  relations: Set<string>
  /** Names of the relations that it writes. */
  written: Set<string>
  /** Names of the relations that it truncates with CASCADE. */
  truncated: Set<string>
  /** True: it runs DDL, which fires event triggers. */
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
