import type { Deploys, MoveRoute } from '../deploys.ts'

/** The PostgreSQL servers, as moves between them see them. */
export interface MovingServers {
  areSeveral: boolean
  /** @throws {GatewayError} connection_failed if it has not answered yet */
  named(name: string): { deploys: Deploys }
  placements: MoveRoute['placements']
}

/**
 * Returns the way from one server to another.
 * @throws {GatewayError} as `named`
 */
export function routeOf(servers: MovingServers, from: string, to: string): MoveRoute {
  return {
    from,
    toName: to,
    to: servers.named(to).deploys,
    main: servers.named('main').deploys,
    placements: servers.placements,
  }
}
