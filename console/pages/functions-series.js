import { useMemo } from 'preact/hooks'
import { Chart } from '../components/chart.js'
import { formatCount, formatMs, formatSeconds } from '../components/format.js'
import { html } from '../html.js'

const STEP_MS = { minute: 60_000, hour: 3_600_000 }

/** Calls, durations and time in the database over time. @param {{ data: any }} props of /admin/functions */
export function Series({ data }) {
  const { at, rows } = useMemo(() => withGaps(data), [data])
  const charts = useMemo(() => chartsOf(rows, data.step), [rows])
  if (data.series.length === 0) return null
  return html`
    <div class="charts">
      ${charts.map(
        ({ title, lines, format, label }) => html`
          <figure>
            <figcaption>${title}</figcaption>
            <${Chart} label=${label} at=${at} lines=${lines} format=${format} height=${170} />
          </figure>`,
      )}
    </div>
  `
}

/**
 * Steps without a call are in no answer: they are no call, and no duration.
 * @param {any} data
 * @returns {{ at: number[], rows: any[] }}
 */
function withGaps({ from, to, step, series }) {
  const stepMs = STEP_MS[/** @type {'minute' | 'hour'} */ (step)]
  const byTime = new Map(series.map((/** @type {any} */ one) => [Date.parse(one.at), one]))
  const at = []
  const start = Math.floor(Date.parse(from) / stepMs) * stepMs
  for (let time = start; time < Date.parse(to); time += stepMs) at.push(time)
  return { at, rows: at.map((time) => byTime.get(time) ?? NONE) }
}

const NONE = { calls: 0, errors: 0, p50_ms: null, p95_ms: null, p99_ms: null, database_seconds: 0 }

/** @param {any[]} rows @param {string} step */
function chartsOf(rows, step) {
  const of = (/** @type {string} */ name) => rows.map((row) => row[name])
  const sum = (/** @type {string} */ name) => of(name).reduce((all, one) => all + one, 0)
  const slowest = Math.max(0, ...of('p95_ms').map((value) => value ?? 0))
  return [
    {
      title: `Calls a ${step}`,
      label: `Calls a ${step}: ${formatCount(sum('calls'))} in all, ${formatCount(sum('errors'))} errors`,
      format: formatCount,
      lines: [
        { label: 'calls', values: of('calls') },
        { label: 'errors', values: of('errors'), color: 'bad' },
      ],
    },
    {
      title: 'Duration',
      label: `Durations: p50, p95 and p99 by ${step}; the largest p95 is ${formatMs(slowest)}`,
      format: formatMs,
      lines: [
        { label: 'p50', values: of('p50_ms'), color: 'good' },
        { label: 'p95', values: of('p95_ms') },
        { label: 'p99', values: of('p99_ms'), color: 'warn' },
      ],
    },
    {
      title: `Time in the database a ${step}`,
      label: `Time in the database a ${step}: ${formatSeconds(sum('database_seconds'))} in all`,
      format: formatSeconds,
      lines: [{ label: 'database', values: of('database_seconds') }],
    },
  ]
}
