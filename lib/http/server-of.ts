import type { H3Event, H3EventContext } from 'h3'
import { GatewayError } from '../errors.ts'
import { chooseServer } from '../servers/choose.ts'
import { serverWith } from '../servers/find-database.ts'
import { MAIN_SERVER } from '../servers/parse-servers.ts'
import { serverFor, type Wanted } from '../servers/place.ts'
import type { Labels } from '../tenancy/labels.ts'
import { databaseName, type Given, type Owner, textOf } from '../tenancy/names.ts'

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

/**
 * As `goToServerOf`, for a request to one tenant, or without a tenant's id to all databases: `main` then,
 * whose deploys have the other servers.
 */
export async function goToServersOf(event: H3Event, scope: Owner): Promise<Gateway> {
  return scope.tenantId === null ? event.context.gateway : goToServerOf(event, scope)
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
  const { servers, config } = event.context.gateway
  const choose = (owner: Owner, labels: Labels) => chooseServer(servers, config, owner, labels)
  return goTo(event, await serverFor(servers, wanted, choose))
}

/**
 * As `goToServerOf`, for a database that is to enter the catalog: the server that the request names, or
 * that has a database of that name.
 * @throws {GatewayError} as `serverFor`
 */
export async function goToServerWith(
  event: H3Event,
  owner: Owner,
  database: string,
  server: string | undefined,
): Promise<Gateway> {
  const { servers } = event.context.gateway
  const wanted = { owner, server, labels: {}, isRecorded: false }
  return goTo(event, await serverFor(servers, wanted, () => serverWith(servers, database)))
}

/**
 * Runs work that makes a database, after `goToServerFor`, with the parts for its server. If the database
 * is not made, its name is free again. If another gateway has placed it meanwhile, where the request
 * names no server, the work runs there.
 */
export async function makeThere<T>(
  event: H3Event,
  wanted: Wanted,
  work: (there: Gateway) => Promise<T>,
): Promise<T> {
  const { gateway } = event.context
  try {
    return await work(gateway)
  } catch (error) {
    const code = error instanceof GatewayError ? error.code : undefined
    if (code === 'name_conflict' && wanted.server === undefined) {
      const there = await goToServerFor(event, wanted)
      if (there !== gateway) return work(there)
    }
    await gateway.deploys.leaveUnmade(databaseName(wanted.owner))
    throw code === 'connection_failed' ? await namingServer(gateway, error as GatewayError) : error
  }
}

/** How long a server has to answer a small query, or else it is the one that is away. */
const PROBE_MS = 600

/** Has an error say which server is away, where there are several. */
async function namingServer(there: Gateway, error: GatewayError): Promise<GatewayError> {
  const { servers } = there
  if (!servers.areSeveral) return error
  const main = servers.named(MAIN_SERVER)
  const isThere = await there.health.answers(PROBE_MS)
  // One that answers may have no connection for this database.
  const isOfMain = isThere && there !== main && !(await main.health.answers(PROBE_MS))
  const server = isOfMain ? MAIN_SERVER : servers.nameOf(there)
  const message = `Server ${server}: ${error.message}`
  return new GatewayError('connection_failed', message, { ...error.details, server })
}

/** Returns the field `server` of an answer about a database; none where there is but one server. */
export function ownServerField(event: H3Event): { server?: string } {
  const { gateway } = event.context
  return gateway.servers.areSeveral ? { server: gateway.servers.nameOf(gateway) } : {}
}

/** Parses the member `server` of a request. @throws {GatewayError} invalid_request if it is no text */
export function parseWantedServer(value: Given): string | undefined {
  return textOf('server', value) || undefined
}
