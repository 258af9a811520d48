import { setImmediate as nextTurn } from 'node:timers/promises'
import { SLICE } from '../common/in-slices.ts'

/** One metric and what it is now. */
export interface Metric {
  name: string
  help: string
  type: 'counter' | 'gauge' | 'histogram'
  /** Made as they are read: there are some for each database. */
  samples: Iterable<Sample>
}

export interface Sample {
  labels: Record<string, string | number | undefined>
  value: number
  /** Behind the metric's name: `_bucket`, `_sum`, `_count` of a histogram. */
  suffix?: string
}

/**
 * Metrics in Prometheus' text format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats). Labels that are undefined are
 * left out. Some samples are written in each turn of the event loop, so that those of 10,000 databases
 * do not hold it up.
 */
export async function renderMetrics(metrics: Metric[]): Promise<string> {
  const texts: string[] = []
  for (const metric of metrics) texts.push(await renderMetric(metric))
  return texts.join('\n')
}

async function renderMetric({ name, help, type, samples }: Metric): Promise<string> {
  const lines: string[] = []
  for (const { suffix = '', labels, value } of samples) {
    lines.push(`${name}${suffix}${renderLabels(labels)} ${value}\n`)
    if (lines.length % SLICE === 0) await nextTurn()
  }
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

function renderLabels(labels: Sample['labels']): string {
  const parts = Object.entries(labels)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}="${escapeValue(String(value))}"`)
  return parts.length > 0 ? `{${parts.join(',')}}` : ''
}

function escapeValue(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
