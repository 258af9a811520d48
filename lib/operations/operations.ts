import { Activity } from '../activity/activity.ts'
import { CallsInFlight } from '../activity/calls-in-flight.ts'
import { CallsOfAll } from '../activity/cancel-calls.ts'
import { Messages } from '../cluster/messages.ts'
import { Fleet, type FleetOptions } from '../fleet/fleet.ts'
import type { Log } from '../log.ts'

interface OperationsOptions extends FleetOptions {
  log: Log
  gateways: { id: string; alive(): { id: string }[] }
  /** Channel of the notifications between gateways. */
  channel: string
  /** application_name of the gateways' sessions. */
  application: string
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
  /** Questions and answers among the gateways. */
  messages: Messages
}

/** Builds the parts; asks nothing. */
export function createOperations(options: OperationsOptions): Operations {
  const { gateways, use, log, channel } = options
  const inFlight = new CallsInFlight(gateways.id)
  const alive = () => gateways.alive().map(({ id }) => id)
  const messages = new Messages({ self: gateways.id, channel, use, alive, log })
  return {
    fleet: new Fleet(options),
    inFlight,
    callsOfAll: new CallsOfAll(gateways.id, inFlight, messages),
    activity: new Activity(options),
    messages,
  }
}
