import type { Row } from './gateways-table.ts'
import type { WorkerStatus } from './service.ts'
import type { Sharer } from './shares.ts'

/** A gateway on this PostgreSQL, as the endpoints for operators show it. */
export interface GatewayStatus {
  id: string
  host: string
  pid: number
  /** Start of the process, ISO 8601, by PostgreSQL's clock; likewise `last_heartbeat_at`. */
  started_at: string
  last_heartbeat_at: string
  /** Maximum number of connections that it may have open. */
  share: number
  /** True for the gateway that answers. */
  self: boolean
  /** Its workers, where it has several. */
  workers?: WorkerStatus[]
}

/**
 * Returns the other gateways that share the connections. The workers of a service are one: its share is
 * the largest that one of them has written, so that nothing is taken twice while it changes.
 * @param self id of this gateway, whose own workers are left out
 */
export function asSharers(rows: Row[], self: string): Sharer[] {
  const sharers = new Map<string, Sharer>()
  for (const { id, service, cap, share } of rows) {
    const key = service ?? id
    if (key === self) continue
    const known = sharers.get(key)
    sharers.set(key, {
      id: key,
      cap: known ? Math.min(known.cap, cap) : cap,
      share: known ? Math.max(known.share, share) : share,
    })
  }
  return [...sharers.values()]
}

/** Returns the gateways that are alive, the oldest first; workers are within their gateway. */
export function asServices(rows: Row[], self: string): GatewayStatus[] {
  const services = new Map<string, GatewayStatus>()
  for (const { id, service, parent, worker, host, pid, ...row } of rows) {
    const key = service ?? id
    const { started_at, last_heartbeat_at, share } = row
    let known = services.get(key)
    if (!known) {
      known = {
        id: key,
        host,
        pid: parent ?? pid,
        started_at,
        last_heartbeat_at,
        share,
        self: key === self,
        ...(worker !== null && { workers: [] }),
      }
      services.set(key, known)
    }
    if (last_heartbeat_at > known.last_heartbeat_at) known.last_heartbeat_at = last_heartbeat_at
    known.share = Math.max(known.share, share)
    if (worker !== null) known.workers?.push({ id, worker, pid })
  }
  for (const { workers } of services.values()) workers?.sort((a, b) => a.worker - b.worker)
  return [...services.values()]
}
