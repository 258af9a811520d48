import { type Measured, median } from '../measure.ts'
import { digits, table, times } from '../table.ts'
import type { Measurements, Operation } from './measure.ts'

const OPERATIONS = ['create', 'clone', 'drop'] as const

const HEADER = [
  '',
  'tenants',
  'median ms',
  'p95 ms',
  'psql / it',
  'PostgreSQL CPU ms',
  'psql / it',
  'client CPU ms',
]

/** A row for each operation and way; ratios to `loop`, where there is one. */
export function describeLife(all: Measurements[], loop: Measurements | undefined): string {
  const rows = OPERATIONS.flatMap((operation) =>
    all
      .filter(({ samples }) => samples[operation].length > 0)
      .map((one) => describeRow(operation, one, loop === one ? undefined : loop)),
  )
  return table([HEADER, ...rows])
}

/** What the template saves: creation in the other ways against it. */
export function describeTemplate(template: Measurements, others: Measurements[]): string {
  return others
    .map((other) => {
      const elapsed = times(timesFaster(template, other, 'create'))
      const cpu = times(cpuRatio(template, other, 'create'))
      return `Creation by ${other.way.name} takes ${elapsed} as long as from the template, and ${cpu} as much of PostgreSQL's CPU`
    })
    .join('\n')
}

function describeRow(
  operation: Operation,
  one: Measurements,
  loop: Measurements | undefined,
): string[] {
  const samples = one.samples[operation]
  const elapsed = samples.map(({ seconds }) => 1000 * seconds)
  const cpuMs = (field: 'serverCpu' | 'clientCpu') => 1000 * mean(samples, field)
  return [
    `${operation}: ${one.way.name}`,
    `${samples.length}`,
    digits(median(elapsed)),
    digits(percentile(elapsed, 0.95)),
    loop ? times(timesFaster(one, loop, operation)) : '',
    digits(cpuMs('serverCpu')),
    loop ? times(cpuRatio(one, loop, operation)) : '',
    digits(cpuMs('clientCpu')),
  ]
}

/** The median of the pairs' ratios: a tenant by `other` and the same one by `one`. */
function timesFaster(one: Measurements, other: Measurements, operation: Operation): number {
  const others = other.samples[operation]
  return median(one.samples[operation].map(({ seconds }, i) => others[i]!.seconds / seconds))
}

/** Of the sums: CPU is counted in steps of 10 ms, too coarse for a pair. */
function cpuRatio(one: Measurements, other: Measurements, operation: Operation): number {
  return mean(other.samples[operation], 'serverCpu') / mean(one.samples[operation], 'serverCpu')
}

function mean(samples: Measured[], field: 'serverCpu' | 'clientCpu'): number {
  return samples.reduce((sum, sample) => sum + sample[field], 0) / samples.length
}

/** The least value that is not exceeded by this share of the values. */
function percentile(values: number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(share * values.length) - 1]!
}
