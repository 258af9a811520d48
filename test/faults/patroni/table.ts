import type { CallOutcome } from '../calls-load.ts'
import type { Verdict } from '../calls-verdict.ts'

/** What is told of one fault. */
export interface Line {
  name: string
  verdict: Verdict
  /** From the fault until a primary committed again. */
  decidedMs: number
  /** From then on until a write in each database had succeeded. */
  backMs: number
  /** Calls that failed later, while the node came back. */
  late: number
}

const OUTCOMES: CallOutcome[] = [
  'right',
  'may have run',
  'rolled back',
  'has not run',
  'no connection',
  'timeout',
]

const COLUMNS: [title: string, value: (line: Line) => string | number][] = [
  ['fault', ({ name }) => name],
  ['calls', ({ verdict }) => verdict.calls],
  ...OUTCOMES.map((outcome): [string, (line: Line) => number] => [
    outcome,
    ({ verdict }) => verdict.outcomes.get(outcome) ?? 0,
  ]),
  ['(did)', ({ verdict }) => verdict.mayHaveAndDid],
  ['primary after', ({ decidedMs }) => `${(decidedMs / 1000).toFixed(1)} s`],
  ['gateway after', ({ backMs }) => `${Math.round(backMs)} ms`],
  ['failed later', ({ late }) => late],
]

/** The lines as a table. */
export function tableOf(lines: Line[]): string {
  const rows = [
    COLUMNS.map(([title]) => title),
    ...lines.map((line) => COLUMNS.map(([, value]) => String(value(line)))),
  ]
  const widths = COLUMNS.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  const padded = (cell: string, i: number) =>
    i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)
  return rows.map((row) => row.map(padded).join('  ')).join('\n')
}
