import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Distribution } from '../call/draw.ts'
import { ownCpu, serverCpu } from '../cpu.ts'
import type { Rig } from '../rig.ts'
import { sessionsSoFar } from './tenants.ts'

/** What the generator of calls to many tenants does. */
export interface TenantJob {
  /** Where HTTP calls go, or PostgreSQL's protocol to PgBouncer. */
  to: 'gateway' | 'pgbouncer'
  port: number
  distribution: Distribution
  tenants: number
  /** Each has one call running at a time. */
  clients: number
  seed: number
  warmUpSeconds: number
  seconds: number
}

/** What came of it; times are milliseconds. */
export interface TenantOutcome {
  calls: number
  /** Such as 503 pool_exhausted. */
  refused: number
  firstRefusal: string
  seconds: number
  p50: number
  p99: number
  p999: number
  /** The longest that any call took. */
  longest: number
  /** Of the tenants' means, the largest. */
  slowestTenant: number
  /** Of the calls of the half of the tenants that is called least; 0 without such calls. */
  rareP99: number
}

export interface TenantLoad extends TenantOutcome {
  perSecond: number
  /** Connections to PostgreSQL that were opened, for each call. */
  openedPerCall: number
  /** CPU a call, in microseconds: of gateway or PgBouncer, and of PostgreSQL. */
  cpuUs: number
  postgresCpuUs: number
}

const GENERATOR = join(import.meta.dirname, 'tenant-generator.ts')

/**
 * Puts load on the gateway or PgBouncer, process `pid`, from a process of its own.
 * @throws {Error} where an answer was wrong, or the generator failed
 */
export async function loadTenants(job: TenantJob, pid: number, rig: Rig): Promise<TenantLoad> {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--max-semi-space-size=64', GENERATOR, JSON.stringify(job)],
    { stdio: ['ignore', 'pipe', 'inherit'], signal: rig.signal },
  )
  const closed = once(child, 'close')
  // Told of below, when its output has ended.
  closed.catch(() => {})
  const look = async () => ({
    cpu: ownCpu(pid),
    postgres: serverCpu(rig.postmaster),
    sessions: await sessionsSoFar(rig),
  })
  let before: Awaited<ReturnType<typeof look>> | undefined
  let after: typeof before
  let outcome: TenantOutcome | undefined
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'start') before = await look()
    else {
      after = await look()
      outcome = JSON.parse(line) as TenantOutcome
    }
  }
  await closed
  if (!before || !after || !outcome) throw new Error('The load generator has failed')
  const micros = (seconds: number) => (seconds * 1e6) / outcome.calls
  return {
    ...outcome,
    perSecond: outcome.calls / outcome.seconds,
    openedPerCall: (after.sessions - before.sessions) / outcome.calls,
    cpuUs: micros(after.cpu - before.cpu),
    postgresCpuUs: micros(after.postgres - before.postgres),
  }
}
