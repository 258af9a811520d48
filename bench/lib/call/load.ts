import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { serverCpu } from '../cpu.ts'
import { PLATFORM } from './platform.ts'

/** What the generator sends. */
export interface Job {
  port: number
  /** A second service, to which every other client connects. */
  secondPort?: number
  /** The request up to its content-length, which it has where there is a body. */
  head: string
  body: string
  /** `$id` in head and body stands for a random number from 1 to `ids`. */
  ids: number
  /** What each answer has to have. */
  status: number
  /** How many rows an answer with status 200 has to have. */
  rows: number
  /** Connections, each with one request at a time. */
  clients: number
  /** Requests a second, on a schedule; undefined: each client sends when it has its answer. */
  rate?: number | undefined
  warmUpSeconds: number
  seconds: number
}

/** What came of it; latencies are milliseconds, in a schedule from when a request was due. */
export interface Outcome {
  requests: number
  seconds: number
  errors: number
  firstError: string
  p50: number
  p99: number
  p999: number
  /** CPU of the generator itself a request, in microseconds. */
  generatorCpuUs: number
}

export interface Load extends Outcome {
  perSecond: number
  /** CPU a request, in microseconds: of the process that answers, and of PostgreSQL. */
  cpuUs: number
  postgresCpuUs: number
}

/** The process whose CPU is measured, and its PostgreSQL. */
export interface Target {
  pid: number
  secondPid?: number | undefined
  postmaster: number
}

const GENERATOR = join(import.meta.dirname, 'load-generator.ts')

/**
 * Puts load on a service, from a process of its own.
 * @throws {Error} where an answer was not what it has to be
 */
export async function load(job: Job, target: Target, signal: AbortSignal): Promise<Load> {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--max-semi-space-size=64', GENERATOR, JSON.stringify(job)],
    { stdio: ['ignore', 'pipe', 'inherit'], signal },
  )
  const closed = once(child, 'close')
  // Told of below, when its output has ended.
  closed.catch(() => {})
  const cpuNow = () => [
    serverCpu(target.pid) + (target.secondPid ? serverCpu(target.secondPid) : 0),
    serverCpu(target.postmaster),
  ]
  let before = [0, 0]
  let outcome: Outcome | undefined
  let after = before
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'start') before = cpuNow()
    else {
      after = cpuNow()
      outcome = JSON.parse(line) as Outcome
    }
  }
  await closed
  if (!outcome) throw new Error('The load generator has failed')
  if (outcome.errors > 0) throw new Error(`${outcome.errors} errors: ${outcome.firstError}`)
  const micros = (i: number) => ((after[i]! - before[i]!) * 1e6) / outcome.requests
  return {
    ...outcome,
    perSecond: outcome.requests / outcome.seconds,
    cpuUs: micros(0),
    postgresCpuUs: micros(1),
  }
}

type JobOptions = Pick<Job, 'clients' | 'seconds' | 'rows'> & Partial<Job>

/** A POST /call of a function of the benchmark's platform. */
export function callJob(port: number, name: string, params: string, job: JobOptions): Job {
  return {
    ...DEFAULTS,
    port,
    head: 'POST /call HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n',
    body: `{"platform":"${PLATFORM}","function":"${name}","params":[${params}]}`,
    ...job,
  }
}

/** A GET of the same. */
export function getJob(port: number, name: string, query: string, job: JobOptions): Job {
  const head = `GET /call/${PLATFORM}/${name}?${query} HTTP/1.1\r\nhost: localhost\r\n`
  return { ...DEFAULTS, port, head, body: '', ...job }
}

const DEFAULTS = { ids: 100_000, warmUpSeconds: 2, status: 200 }
