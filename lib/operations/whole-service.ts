import type { ServiceOfWorker } from '../cluster/service.ts'
import { addUp } from '../common/add-up.ts'
import { mergeReports } from '../postgres/pools/merge-reports.ts'
import type { PoolsReport } from '../postgres/pools/pool-report.ts'

/** What the processes of a service do now, as sums over all servers. */
export interface ServiceLoad {
  /** Calls and errors since the start. */
  calls: number
  errors: number
  /** Deploys that run or wait. */
  deploys: number
  connections: { open: number; busy: number; idle: number; waiting: number; capacity: number }
  /** Databases with a pool, and open connections, on the server `main`. */
  pools: number
  held: number
  /** Number of processes. */
  workers: number
}

/** Parts for one server. */
interface PartsOfServer {
  pools: { report(): PoolsReport; status(): { pools: number; connections: number } }
  deploys: { running: number }
}

interface Parts extends PartsOfServers {
  pools: PartsOfServer['pools']
  inFlight: { counts: { calls: number; errors: number } }
}

/** What is read of all servers of this process, and asked of the others. */
export interface PartsOfServers {
  service: ServiceOfWorker | undefined
  servers: { entries(): { name: string; parts?: PartsOfServer | undefined }[] }
}

/** The report on the pools of each open server, by its name. */
export type ReportsOfServers = Record<string, PoolsReport>

/** Has a worker answer what the others ask. */
export function answerWorkers(parts: Parts): void {
  parts.service?.answer('load', () => ownLoad(parts))
  parts.service?.answer('pools', () => ownReports(parts))
}

/** Returns the load of all workers that answer; of a gateway alone, its own. */
export async function readLoad(parts: Parts): Promise<ServiceLoad> {
  const own = ownLoad(parts)
  if (!parts.service) return own
  return ((await parts.service.ask('load', null)) as ServiceLoad[]).reduce(addLoads, own)
}

/** Returns the reports on the pools of all workers that answer. */
export async function readPools(parts: PartsOfServers): Promise<ReportsOfServers> {
  const own = ownReports(parts)
  if (!parts.service) return own
  const others = (await parts.service.ask('pools', null)) as ReportsOfServers[]
  const merged: ReportsOfServers = {}
  for (const [name, report] of [own, ...others].flatMap(Object.entries)) {
    merged[name] = merged[name] ? mergeReports([merged[name], report]) : report
  }
  return merged
}

function ownReports({ servers }: PartsOfServers): ReportsOfServers {
  const open = servers
    .entries()
    .flatMap(({ name, parts }) => (parts ? [[name, parts.pools.report()] as const] : []))
  return Object.fromEntries(open)
}

function ownLoad({ pools, inFlight, servers }: Parts): ServiceLoad {
  const connections = { open: 0, busy: 0, idle: 0, waiting: 0, capacity: 0 }
  let running = 0
  for (const { parts } of servers.entries()) {
    if (!parts) continue
    const report = parts.pools.report()
    connections.capacity += report.permits.capacity
    for (const { open, busy, idle, waiting } of report.pools) {
      connections.open += open
      connections.busy += busy
      connections.idle += idle
      connections.waiting += waiting
    }
    running += parts.deploys.running
  }
  const status = pools.status()
  return {
    ...inFlight.counts,
    deploys: running,
    connections,
    pools: status.pools,
    held: status.connections,
    workers: 1,
  }
}

function addLoads(
  { connections: own, ...one }: ServiceLoad,
  { connections: others, ...other }: ServiceLoad,
): ServiceLoad {
  return { ...addUp([one, other]), connections: addUp([own, others]) }
}
