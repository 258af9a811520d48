/** What a plan evens out: how many databases, their bytes, or how long calls kept connections. */
export const MEASURES = ['databases', 'bytes', 'load'] as const
export type Measure = (typeof MEASURES)[number]

/** A database that may be moved. */
export interface PlacedDatabase {
  server: string
  platform: string
  tenant_id: string | null
  schema_name: string | null
  database: string
  bytes: number
  /** Milliseconds for which calls kept its connections in the last hour. */
  load: number
}

/** What is on a server. */
export interface ServerTotals {
  server: string
  databases: number
  bytes: number
  load: number
}

/** A move that is proposed. */
export type PlannedMove = Omit<PlacedDatabase, 'server' | 'load'> & { from: string; to: string }

export interface Plan {
  moves: PlannedMove[]
  before: ServerTotals[]
  after: ServerTotals[]
}

/** Share of the mean by which servers may differ from each other in bytes or load. */
const TOLERANCE = 0.1

/** Moves that one plan proposes at most. */
const MAX_MOVES = 1000

/**
 * Plans moves after which the servers have alike much of a measure. Each move is from the server that
 * has most to the one that has least, of the tenant that evens out most for its bytes, without making
 * either differ more than before. A database is moved once.
 * @param all what is on the servers, with what is not moved
 * @param movable the databases that may be moved
 */
export function planRebalance(all: ServerTotals[], movable: PlacedDatabase[], by: Measure): Plan {
  const after = all.map((totals) => ({ ...totals }))
  const mean = after.reduce((sum, totals) => sum + totals[by], 0) / after.length
  const tolerated = by === 'databases' ? 1 : TOLERANCE * mean
  const left = new Set(movable)
  const moves: PlannedMove[] = []
  const weightOf = (one: PlacedDatabase) => (by === 'databases' ? 1 : one[by])
  while (after.length > 1 && moves.length < MAX_MOVES) {
    const ordered = after.toSorted((a, b) => b[by] - a[by])
    const [most, least] = [ordered[0]!, ordered.at(-1)!]
    const gap = most[by] - least[by]
    if (gap <= tolerated) break
    const one = best(
      [...left].filter(({ server }) => server === most.server),
      weightOf,
      gap / 2,
      gap,
    )
    if (!one) break
    left.delete(one)
    const { server, load, ...named } = one
    moves.push({ ...named, from: server, to: least.server })
    for (const [totals, sign] of [
      [most, -1],
      [least, 1],
    ] as const) {
      totals.databases += sign
      totals.bytes += sign * one.bytes
      totals.load += sign * load
    }
  }
  return { moves, before: all, after }
}

/**
 * The database with the most weight for its bytes, of those that take at most half of the difference
 * between the two servers; if there is none, the lightest of those that lessen it at all.
 */
function best(
  candidates: PlacedDatabase[],
  weightOf: (one: PlacedDatabase) => number,
  half: number,
  gap: number,
): PlacedDatabase | undefined {
  const useful = candidates.filter((one) => weightOf(one) > 0 && weightOf(one) < gap)
  const small = useful.filter((one) => weightOf(one) <= half)
  const worth = (one: PlacedDatabase) => weightOf(one) / Math.max(1, one.bytes)
  if (small.length > 0) {
    return small.reduce((a, b) => {
      const more = worth(b) - worth(a)
      return more > 0 || (more === 0 && weightOf(b) > weightOf(a)) ? b : a
    })
  }
  return useful.toSorted((a, b) => weightOf(a) - weightOf(b))[0]
}
