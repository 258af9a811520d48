import { Activity } from '../activity/activity.ts'
import { CallsInFlight } from '../activity/calls-in-flight.ts'
import { CallsOfAll } from '../activity/cancel-calls.ts'
import type { Gateways } from '../cluster/gateways.ts'
import { Messages } from '../cluster/messages.ts'
import { CHANNEL } from '../cluster/notifications.ts'
import type { ServiceOfWorker } from '../cluster/service.ts'
import { Events } from '../events/events.ts'
import { Fleet, type FleetOptions } from '../fleet/fleet.ts'
import type { Log } from '../log.ts'
import type { Replicas } from '../postgres/hosts/replicas.ts'
import type { Pools } from '../postgres/pools/pools.ts'
import { type PartsOfServers, readLoad } from './whole-service.ts'

interface OperationsOptions extends FleetOptions {
  log: Log
  gateways: Gateways
  service: ServiceOfWorker | undefined
  server: { applicationName: string }
  catalogId: string
  /** The parts for the server `main`; undefined for those themselves. */
  main: Operations | undefined
  /** Returns parts that are built later. */
  later: () => {
    health: { isConnected(): Promise<boolean> }
    pools: Pools
    metrics: { fleet: { databasesOf(server: string): number | undefined } }
    /** The servers; each has parts of its own. */
    servers: PartsOfServers['servers'] & { open(): { replicas: Replicas | undefined }[] }
  }
}

/** The parts of a gateway that operators look at. */
export interface Operations {
  /** State of all databases, as the catalog knows it. */
  fleet: Fleet
  /** Calls of this gateway that are not answered yet. */
  inFlight: CallsInFlight
  /** Those of all gateways. */
  callsOfAll: CallsOfAll
  /** What PostgreSQL is doing. */
  activity: Activity
  /** What operators are told of as it happens. */
  events: Events
  /** Questions and answers among the gateways. */
  messages: Messages
}

/** Builds the parts; asks nothing. */
export function createOperations(options: OperationsOptions): Operations {
  const { gateways, service, use, log, server, catalogId, later, main } = options
  const fleet = new Fleet(options)
  const activity = new Activity({ use, application: server.applicationName, catalogId })
  if (main) {
    const { inFlight, callsOfAll, messages, events } = main
    fleet.sizes.onRead = (platform) => events.noteCatalog(platform)
    return { fleet, activity, inFlight, callsOfAll, messages, events }
  }
  const inFlight = new CallsInFlight(gateways.id)
  const alive = () => gateways.ids()
  const messages = new Messages({ self: gateways.id, channel: CHANNEL, use, alive, log })
  fleet.sizes.onRead = (platform) => events.noteCatalog(platform)
  const servers = () => later().servers.open()
  const events = new Events({
    messages,
    log,
    load: () => readLoad({ service, inFlight, ...later() }),
    gateways: () => gateways.alive(),
    ids: alive,
    workers: service?.workers ?? 1,
    replicas: () => servers().flatMap((one) => one.replicas?.status() ?? []),
    isConnected: () => later().health.isConnected(),
  })
  return {
    fleet,
    inFlight,
    callsOfAll: new CallsOfAll(gateways.id, inFlight, messages),
    activity,
    messages,
    events,
  }
}
