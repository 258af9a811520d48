import type { Rig, Service } from '../rig.ts'
import { table } from '../table.ts'
import { callJob, getJob, type Job, type Load, load } from './load.ts'
import type { Pgbench } from './pgbench.ts'
import type { Summary } from './summary.ts'

/** All that is measured. */
export interface Bench {
  /** Of each measurement. */
  seconds: number
  /** How often what is compared is measured in turn. */
  rounds: number
  /** Numbers of clients that one row is read with. */
  clients: number[]
  rig: Rig
  gateway: Service
  peer: Service | undefined
  pgbench: Pgbench | undefined
  summary: Summary
}

/** What is called: a function with its parameters as JSON; `$id` is a number drawn for each call. */
export interface Call {
  name: string
  params: string
  /** By GET, with these parameters in the query. */
  query?: string
}

/** Calls a function of a service for as long as a measurement takes. */
export function put(
  { rig, seconds }: Bench,
  { pid, port }: Service,
  call: Call,
  job: Partial<Job> = {},
): Promise<Load> {
  const { name, params, query } = call
  const full = { rows: 1, clients: 32, seconds, ...job }
  return load(
    query === undefined ? callJob(port, name, params, full) : getJob(port, name, query, full),
    { pid, postmaster: rig.postmaster },
    rig.signal,
  )
}

/** Prints a table with a title, and a note below it. */
export function print(title: string, rows: string[][], note?: string): void {
  console.log([title, table(rows), note, ''].filter((part) => part !== undefined).join('\n\n'))
}
