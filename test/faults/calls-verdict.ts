import { expect } from 'vitest'
import type { Json } from '../helpers/gateway.ts'
import type { CallOutcome, Made } from './calls-load.ts'

/** A PostgreSQL that can be asked what has run in a database. */
export interface Asked {
  query(text: string, database?: string): Promise<Json[]>
}

/** What the calls of a fault came to. */
export interface Verdict {
  calls: number
  outcomes: Map<CallOutcome, number>
  /** Of those that may have run, how many have. */
  mayHaveAndDid: number
}

/**
 * Looks how often each call has run, and compares with what its client was told.
 * `forgetful`: a tenant whose rows were lost with its database.
 */
export async function judge(
  postgres: Asked,
  platform: string,
  made: Made[],
  forgetful?: string,
): Promise<Verdict> {
  const runs = await runsOf(postgres, platform, made)
  const outcomes = new Map<CallOutcome, number>()
  const broken: object[] = []
  let mayHaveAndDid = 0
  for (const one of made) {
    const { id, tenant, outcome, isNoted, reply } = one
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    const count = runs.get(id) ?? 0
    if (outcome === 'may have run' && count > 0) mayHaveAndDid++
    const isKept =
      outcome !== 'lost' &&
      outcome !== 'wrong' &&
      (!isNoted || isPossible(outcome, count, tenant === forgetful))
    if (!isKept) broken.push({ id, tenant, outcome, ran: count, reply })
  }
  expect(broken.slice(0, 5), `${broken.length} of ${made.length} calls`).toEqual([])
  return { calls: made.length, outcomes, mayHaveAndDid }
}

function isPossible(outcome: CallOutcome, runs: number, isForgetful: boolean): boolean {
  if (runs > 1) return false
  switch (outcome) {
    case 'right':
      return runs === 1 || isForgetful
    case 'may have run':
      return true
    case 'timeout':
      // A procedure commits what it has done before.
      return true
    default:
      return runs === 0
  }
}

async function runsOf(
  postgres: Asked,
  platform: string,
  made: Made[],
): Promise<Map<string, number>> {
  const runs = new Map<string, number>()
  for (const tenant of new Set(made.map((one) => one.tenant))) {
    const rows = await postgres.query(
      'select id, count(*)::integer as runs from runs group by id',
      `${platform}_${tenant}`,
    )
    for (const { id, runs: count } of rows) runs.set(id, count)
  }
  return runs
}

const COLUMNS: [title: string, value: (line: Line) => string | number][] = [
  ['fault', ({ name }) => name],
  ['calls', ({ verdict }) => verdict.calls],
  ...(['right', 'may have run'] as const).map(countOf),
  ['(did)', ({ verdict }) => verdict.mayHaveAndDid],
  ...(
    ['rolled back', 'has not run', 'no connection', 'timeout', 'allowed', 'lost', 'wrong'] as const
  ).map(countOf),
  ['back after', ({ backMs }) => `${Math.round(backMs)} ms`],
  ['permits', ({ connections }) => connections],
  ['RSS', ({ rss }) => rss.map((mebibytes) => Math.round(mebibytes)).join(' → ')],
]

/** What is told of one fault. */
export interface Line {
  name: string
  verdict: Verdict
  /** From the end of the fault until a call in each database had succeeded. */
  backMs: number
  /** Open afterwards, as PostgreSQL and the gateway agree. */
  connections: number
  /** In MiB, before and afterwards. */
  rss: number[]
}

/** The lines as a table. */
export function tableOf(lines: Line[]): string {
  const rows = [
    COLUMNS.map(([title]) => title),
    ...lines.map((line) => COLUMNS.map(([, value]) => String(value(line)))),
  ]
  const widths = COLUMNS.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  return rows
    .map((row) =>
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))),
    )
    .map((row) => row.join('  '))
    .join('\n')
}

function countOf(outcome: CallOutcome): [string, (line: Line) => number] {
  return [outcome, ({ verdict }) => verdict.outcomes.get(outcome) ?? 0]
}
