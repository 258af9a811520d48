import type { DeployParts } from '../parts.ts'
import type { Transfers } from '../transfer/transfers.ts'
import type { EndingServers, MoveServers } from './servers.ts'

/** The PostgreSQL servers, as moves between them see them. */
export interface MovingServers {
  areSeveral: boolean
  /** @throws {GatewayError} connection_failed if it has not answered yet */
  named(name: string): { deploys: { parts: DeployParts; transfers: Transfers } }
  placements: MoveServers['placements']
}

/**
 * Returns the servers of a move.
 * @throws {GatewayError} as `named`
 */
export function serversOfMove(servers: MovingServers, from: string, to: string): MoveServers {
  const ending = serversOfEnd(servers, from, to)
  return { ...ending, target: ending.target(), from }
}

/**
 * Returns the servers of a move that is to be ended.
 * @throws {GatewayError} as `named`, where the source is away
 */
export function serversOfEnd(servers: MovingServers, from: string, to: string): EndingServers {
  const { placements } = servers
  const partsOf = (name: string) => servers.named(name).deploys.parts
  return {
    source: partsOf(from),
    target: () => partsOf(to),
    main: partsOf('main'),
    to,
    placements,
  }
}
