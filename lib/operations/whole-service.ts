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
  servers: Record<string, ServerLoad>
}

/** Open connections to a server, and its databases, which are undefined until one of the processes knows. */
interface ServerLoad {
  connections: number
  databases: number | undefined
}

/** Parts for one server. */
interface PartsOfServer {
  pools: { report(): PoolsReport; status(): { pools: number; connections: number } }
  deploys: { running: number }
}

interface Parts extends PartsOfServers {
  pools: PartsOfServer['pools']
  inFlight: { counts: { calls: number; errors: number } }
  metrics: { fleet: { databasesOf(server: string): number | undefined } }
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

function ownLoad({ pools, inFlight, servers, metrics }: Parts): ServiceLoad {
  const connections = { open: 0, busy: 0, idle: 0, waiting: 0, capacity: 0 }
  const ofServers: ServiceLoad['servers'] = {}
  let running = 0
  const entries = servers.entries()
  for (const { name, parts } of entries) {
    // Told of several alone: it has the catalog read.
    const databases = entries.length > 1 ? metrics.fleet.databasesOf(name) : undefined
    ofServers[name] = { connections: parts?.pools.status().connections ?? 0, databases }
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
    servers: ofServers,
  }
}

function addLoads(
  { connections: own, servers: mine, ...one }: ServiceLoad,
  { connections: others, servers: theirs, ...other }: ServiceLoad,
): ServiceLoad {
  const servers = { ...mine }
  for (const [name, { connections, databases }] of Object.entries(theirs)) {
    const known = servers[name]
    servers[name] = {
      connections: connections + (known?.connections ?? 0),
      // All have it from the catalog.
      databases: known?.databases ?? databases,
    }
  }
  return { ...addUp([one, other]), connections: addUp([own, others]), servers }
}
