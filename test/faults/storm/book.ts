import type { Json } from '../../helpers/gateway.ts'
import type { Outcome } from './judge.ts'
import type { Call } from './kinds.ts'

/** How many rows with its token a call may have left. */
interface Owed {
  least: number
  most: number
}

/** Characters of a case. */
const MOST_TOLD = 1000

/** What the storm has seen, call by call. */
export class Book {
  /** By database and token. */
  readonly owed = new Map<string, Map<string, Owed>>()
  /** By database: how often the functions that count their runs have run. */
  readonly runs = new Map<string, Owed>()
  /** By what the answer was. */
  readonly counts = new Map<string, number>()
  /** What was wrong: how often, and the first case of each kind. */
  readonly wrong = new Map<string, { count: number; first: string }>()
  wrongs = 0
  calls = 0
  longestMs = 0
  /** `performance.now()` of the end of the last deploy; infinite while one goes on. */
  deployedAt = 0

  /** Enters a call that was answered, or was not. */
  enter(database: string, call: Call, outcome: Outcome, answer: Json): void {
    this.calls++
    this.count(describe(answer))
    if (outcome === 'wrong') {
      this.enterWrong(`${call.kind.name}: ${describe(answer)}`, { ...told(call), database, answer })
    }
    const { writes, kind } = call
    const least = outcome === 'done' ? writes : 0
    const most = outcome === 'undone' ? 0 : writes
    // Those of whom nothing may be there need no place: see `countWrites`.
    if (most > 0) {
      const tokens = this.owed.get(database) ?? new Map<string, Owed>()
      this.owed.set(database, tokens.set(call.token, { least, most }))
    }
    if (kind.countsRuns) {
      const runs = this.runs.get(database) ?? { least: 0, most: 0 }
      const isKnown = outcome === 'undone' && answer.sqlstate !== undefined
      this.runs.set(database, { least: runs.least + (isKnown ? 1 : 0), most: runs.most + 1 })
    }
  }

  enterWrong(what: string, example: object): void {
    this.wrongs++
    const seen = this.wrong.get(what)
    if (seen) seen.count++
    else this.wrong.set(what, { count: 1, first: JSON.stringify(example).slice(0, MOST_TOLD) })
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }
}

function told({ token, kind, params, timeoutMs }: Call): object {
  return { token, function: kind.name, params, timeoutMs }
}

function describe(answer: Json): string {
  if (answer.end !== 'answered') return answer.end
  return [answer.status, answer.error, answer.sqlstate].filter(Boolean).join(' ')
}
