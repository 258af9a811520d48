import type { H3Event } from 'h3'
import { BATCH_MEMBERS, type BatchRequest, parseBatch } from '../../call/batch-request.ts'
import { CALL_MEMBERS, type CallRequest, parseCall } from '../../call/request.ts'
import { timeLimit } from '../../call/run/time-limit.ts'
import type { CallTarget } from '../../call/target.ts'
import type { Json } from '../../json/json.ts'
import type { LookupOptions } from '../../tenancy/catalog/owner-lookups.ts'
import type { Owner } from '../../tenancy/names.ts'
import { type OWNER_MEMBERS, parseNamedOwner } from '../../tenancy/owners.ts'
import { ResponseBudget } from '../answer/response-budget.ts'
import type { GivenMembers } from '../idempotency-key.ts'
import { goTo } from '../server-of.ts'
import { readJsonObject } from './body.ts'

/**
 * Reads the body of a call and finds its database. The call's own time limit counts from the start
 * of the request.
 * @throws {GatewayError} as `readJsonObject`, `parseOwner`, `parseCall` and `Catalog.find`
 */
export async function readCall(
  event: H3Event,
): Promise<{ call: CallRequest; target: CallTarget; body: GivenMembers }> {
  const body = await readJsonObject(event, CALL_MEMBERS)
  const owner = ownerOf(event, body)
  const call = parseCall(body)
  event.context.request.function = call.name
  event.context.gateway.inFlight.add(event.context.request, 'call')
  const target = targetOf(event, owner, call.timeoutMs)
  return { call, target: target instanceof Promise ? await target : target, body }
}

/**
 * Reads the body of a batch and finds its database.
 * @throws {GatewayError} as `readCall`
 */
export async function readBatch(
  event: H3Event,
): Promise<{ batch: BatchRequest; target: CallTarget; body: GivenMembers }> {
  const body = await readJsonObject(event, BATCH_MEMBERS)
  const owner = ownerOf(event, body)
  const batch = parseBatch(body)
  event.context.gateway.inFlight.add(event.context.request, 'batch')
  const target = await targetOf(event, owner, batch.timeoutMs)
  return { batch, target, body }
}

function ownerOf(event: H3Event, body: { [name in (typeof OWNER_MEMBERS)[number]]?: Json }): Owner {
  return parseNamedOwner(event.context.request, body)
}

/**
 * Returns at once if the catalog's cache has the database. The rest of the request works with the server
 * that has it.
 */
function targetOf(
  event: H3Event,
  owner: Owner,
  timeoutMs: number | undefined,
): CallTarget | Promise<CallTarget> {
  const { client, startedAt } = event.context.request
  const limit = timeLimit(timeoutMs, startedAt)
  const found = findDatabase(event, owner, { client, deadline: limit?.deadline })
  return typeof found === 'string'
    ? targetIn(event, owner, found, limit)
    : found.then((database) => targetIn(event, owner, database, limit))
}

/**
 * Returns the owner's database, and has the rest of the request work with its server.
 * @throws {GatewayError} as `Catalog.find` and `Servers.find`
 */
export function findDatabase(
  event: H3Event,
  owner: Owner,
  options: LookupOptions,
): string | Promise<string> {
  return event.context.gateway.servers.find(owner, (there) =>
    goTo(event, there).catalog.find(owner, options),
  )
}

/** Returns the target of a call that runs in the owner's database, and notes it for the log. */
export function targetIn(
  event: H3Event,
  owner: Owner,
  database: string,
  limit: CallTarget['limit'],
): CallTarget {
  const { gateway, request } = event.context
  const { client } = request
  request.database = database
  return {
    client,
    database,
    limit,
    budget: new ResponseBudget(event),
    async findMoved(gone) {
      const options = { client, deadline: limit?.deadline }
      request.database = await gateway.catalog.findMoved(owner, gone, options)
      return request.database
    },
  }
}
