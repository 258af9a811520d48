import { MAIN_SERVER } from './parse-servers.ts'
import type { Servers } from './servers.ts'

/** From where to where a tenant is moved: D is what a server does with databases. */
export interface Route<D> {
  from: string
  toName: string
  to: D
  main: D
  placements: Servers<never>['placements']
}

/**
 * Returns the way from one server to another.
 * @throws {GatewayError} as `Servers.named`
 */
export function routeOf<D>(
  servers: { named(name: string): { deploys: D }; placements: Servers<never>['placements'] },
  from: string,
  to: string,
): Route<D> {
  return {
    from,
    toName: to,
    to: servers.named(to).deploys,
    main: servers.named(MAIN_SERVER).deploys,
    placements: servers.placements,
  }
}
