/** One metric and what it is now. */
export interface Metric {
  name: string
  help: string
  type: 'counter' | 'gauge' | 'histogram'
  samples: Sample[]
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
 * left out.
 */
export function renderMetrics(metrics: Metric[]): string {
  return metrics.map(renderMetric).join('\n')
}

function renderMetric({ name, help, type, samples }: Metric): string {
  const lines = samples.map(
    ({ suffix = '', labels, value }) => `${name}${suffix}${renderLabels(labels)} ${value}\n`,
  )
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
