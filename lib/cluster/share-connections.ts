import type { Replicas } from '../postgres/hosts/replicas.ts'
import { hostAndPort } from '../postgres/hosts/server.ts'
import type { Pools } from '../postgres/pools/pools.ts'
import type { GatewaysOptions, OwnSessions } from './gateways.ts'
import type { DividedPools, ServiceOfWorker } from './service.ts'

/**
 * Has the pools of a server, and those of its replicas, keep to the share of the gateway: as a whole, or
 * in a worker to the worker's part of it.
 */
export function shareConnections(
  service: ServiceOfWorker | undefined,
  server: string,
  pools: Pools,
  replicas: Replicas | undefined,
): Pick<GatewaysOptions, 'service' | 'held' | 'sessions' | 'onShare'> {
  const pids = new Set<number>()
  const sessions: OwnSessions = { pids, onOpened: undefined }
  const note = (pid: number, isOpen: boolean) => {
    if (isOpen) pids.add(pid)
    else pids.delete(pid)
    if (isOpen) sessions.onOpened?.()
  }
  if (!service) {
    pools.watchNeed(() => {}, note)
    return {
      service: undefined,
      held: () => Math.max(pools.status().connections, replicas?.held ?? 0),
      sessions,
      onShare: (connections) => {
        pools.setCapacity(connections)
        replicas?.setCapacity(connections)
      },
    }
  }
  const share = service.shareOf(server)
  const noting: DividedPools = {
    setCapacity: (connections) => pools.setCapacity(connections),
    watchNeed: (tell, onSession) =>
      pools.watchNeed(tell, (pid, isOpen) => {
        note(pid, isOpen)
        onSession(pid, isOpen)
      }),
  }
  service.divide(server, server, noting)
  for (const replica of replicas?.members ?? []) {
    service.divide(`${server}/${hostAndPort(replica.server)}`, server, replica)
  }
  return {
    service: share,
    held: () => share.held,
    sessions,
    onShare: (connections) => share.setShare(connections),
  }
}
