import type { H3Event, H3EventContext } from 'h3'
import { MAIN_SERVER } from '../servers/parse-servers.ts'
import { serverFor, type Wanted } from '../servers/place.ts'
import type { Owner } from '../tenancy/names.ts'

type Gateway = H3EventContext['gateway']

/**
 * Has the rest of a request work with the server that has a database for the owner; with `main` if none
 * has.
 * @returns the gateway's parts for that server
 * @throws {GatewayError} connection_failed if the server has not answered yet
 */
export async function goToServerOf(event: H3Event, owner: Owner): Promise<Gateway> {
  return goTo(event, await event.context.gateway.servers.holding(owner))
}

/** As `goToServerOf`, to a server that was found. */
export function goTo(event: H3Event, there: Gateway): Gateway {
  event.context.gateway = there
  return there
}

/**
 * As `goToServerOf`, for a database that is placed where it does not exist.
 * @throws {GatewayError} as `serverFor`
 */
export async function goToServerFor(event: H3Event, wanted: Wanted): Promise<Gateway> {
  const { servers } = event.context.gateway
  return goTo(event, await serverFor(servers, wanted, () => MAIN_SERVER))
}
