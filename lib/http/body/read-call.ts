import type { H3Event, H3EventContext } from 'h3'
import { BATCH_MEMBERS, type BatchRequest, parseBatch } from '../../call/batch-request.ts'
import { CALL_MEMBERS, type CallRequest, parseCall } from '../../call/request.ts'
import { timeLimit } from '../../call/run/time-limit.ts'
import type { CallTarget } from '../../call/target.ts'
import type { Json } from '../../json/json.ts'
import { isNotFound } from '../../servers/servers.ts'
import { MovedAway } from '../../tenancy/catalog/moved-away.ts'
import type { LookupOptions } from '../../tenancy/catalog/owner-lookups.ts'
import type { Owner } from '../../tenancy/names.ts'
import { type OWNER_MEMBERS, parseNamedOwner } from '../../tenancy/owners.ts'
import { ResponseBudget } from '../answer/response-budget.ts'
import type { GivenMembers } from '../idempotency-key.ts'
import { goTo } from '../server-of.ts'
import { parseJsonObject, readJsonBytes, readJsonObject } from './body.ts'

type Gateway = H3EventContext['gateway']

/**
 * Reads the body of a call and finds its database. The call's own time limit counts from the start
 * of the request.
 * @throws {GatewayError} as `readJsonObject`, `parseOwner`, `parseCall` and `Catalog.find`
 */
export async function readCall(
  event: H3Event,
): Promise<{ call: CallRequest; target: FoundTarget; body: GivenMembers }> {
  const parsed = parseJsonObject(await readJsonBytes(event), CALL_MEMBERS)
  const body = parsed instanceof Promise ? await parsed : parsed
  const owner = ownerOf(event, body)
  const call = beginCall(event, body)
  const target = targetOf(event, owner, call.timeoutMs)
  return { call, target: target instanceof Promise ? await target : target, body }
}

function beginCall(event: H3Event, body: Parameters<typeof parseCall>[0]): CallRequest {
  const { gateway, request } = event.context
  const call = parseCall(body)
  request.function = call.name
  gateway.inFlight.add(request, 'call')
  return call
}

/**
 * Reads the body of a batch and finds its database.
 * @throws {GatewayError} as `readCall`
 */
export async function readBatch(
  event: H3Event,
): Promise<{ batch: BatchRequest; target: FoundTarget; body: GivenMembers }> {
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
): FoundTarget | Promise<FoundTarget> {
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

/** The target of a call, and whose database it is. */
export interface FoundTarget extends CallTarget {
  owner: Owner
}

/**
 * Runs a call with the calls of the server that has its database; once more on another server if its
 * tenant has been moved there, when nothing has run.
 */
export function whereItIs<T>(
  event: H3Event,
  target: FoundTarget,
  work: (calls: Gateway['calls'], target: CallTarget) => Promise<T>,
): Promise<T> {
  const { gateway } = event.context
  return work(gateway.calls, target).catch(async (error) => {
    if (isNotFound(error)) await gateway.writtenBefore.beSure(target.database)
    if (!(error instanceof MovedAway)) throw error
    const { owner, limit } = target
    const { client } = event.context.request
    return gateway.servers.follow(error, async (there) => {
      const { catalog, calls } = goTo(event, there)
      const database = await catalog.find(owner, { client, deadline: limit?.deadline })
      return work(calls, targetIn(event, owner, database, limit))
    })
  })
}

/** Returns the target of a call that runs in the owner's database, and notes it for the log. */
export function targetIn(
  event: H3Event,
  owner: Owner,
  database: string,
  limit: CallTarget['limit'],
): FoundTarget {
  const { gateway, request } = event.context
  const { client } = request
  request.database = database
  return {
    owner,
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
