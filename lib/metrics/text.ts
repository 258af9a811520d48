import { setImmediate as nextTurn } from 'node:timers/promises'
import { SLICE } from '../common/in-slices.ts'

/** A metric with its current samples. */
export interface Metric {
  name: string
  help: string
  type: 'counter' | 'gauge' | 'histogram'
  /** Samples, generated as they are read: some metrics have several for each database. */
  samples: Iterable<Sample>
}

export interface Sample {
  labels: Record<string, string | number | undefined>
  value: number
  /** Suffix of the metric's name: `_bucket`, `_sum` or `_count` of a histogram. */
  suffix?: string
}

/**
 * Renders metrics in Prometheus' text format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats). Omits labels that are undefined.
 * Yields to the event loop every SLICE samples, so that 10,000 databases do not block it.
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
