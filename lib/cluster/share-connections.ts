import type { Replicas } from '../postgres/hosts/replicas.ts'
import { hostAndPort } from '../postgres/hosts/server.ts'
import type { Pools } from '../postgres/pools/pools.ts'
import type { GatewaysOptions } from './gateways.ts'
import type { ServiceOfWorker } from './service.ts'

/**
 * Has the pools of a server, and those of its replicas, keep to the share of the gateway: as a whole, or
 * in a worker to the worker's part of it.
 */
export function shareConnections(
  service: ServiceOfWorker | undefined,
  server: string,
  pools: Pools,
  replicas: Replicas | undefined,
): Pick<GatewaysOptions, 'service' | 'held' | 'onShare'> {
  if (!service) {
    return {
      service: undefined,
      held: () => Math.max(pools.status().connections, replicas?.held ?? 0),
      onShare: (connections) => {
        pools.setCapacity(connections)
        replicas?.setCapacity(connections)
      },
    }
  }
  const share = service.shareOf(server)
  service.divide(server, server, pools)
  for (const replica of replicas?.members ?? []) {
    service.divide(`${server}/${hostAndPort(replica.server)}`, server, replica)
  }
  return {
    service: share,
    held: () => share.held,
    onShare: (connections) => share.setShare(connections),
  }
}
