import { databaseName, type Owner } from '../../tenancy/names.ts'
import type { DeployParts } from '../parts.ts'
import { dropKept } from './drop-kept.ts'
import { type Moved, moveTenant } from './move-tenant.ts'
import { askToStop } from './moves-table.ts'
import { planMove } from './plan.ts'
import type { MoveRequest } from './request.ts'
import { type MovingServers, serversOfMove } from './route.ts'

/** Milliseconds after which replication is given up: as long as a timer can be, 24 days. */
const LONGEST_MS = 2 ** 31 - 1

/** Moves a tenant from one server to another. See `moveTenant`. */
export async function moveBetween(
  servers: MovingServers,
  from: string,
  to: string,
  request: MoveRequest,
): Promise<Moved> {
  const moving = serversOfMove(servers, from, to)
  const { deployTimeoutMs } = moving.source.config
  const { transfers } = servers.named(from).deploys
  const plan = await planMove(moving, request)
  const limitMs = plan.how === 'dump' ? deployTimeoutMs : LONGEST_MS
  return transfers.run(limitMs, (signal) => moveTenant(moving, request, plan, signal), true)
}

/**
 * Gives up the move of an owner's database, on whichever gateway it runs.
 * @returns false if none runs that can be given up
 */
export function stopMove(servers: MovingServers, owner: Owner): Promise<boolean> {
  const { catalog } = servers.named('main').deploys.parts
  return catalog.use((sql) => askToStop(sql, databaseName(owner)))
}

/** Drops the former database of a tenant that was moved away from a server. See `dropKept`. */
export function dropFormer(parts: DeployParts, owner: Owner): Promise<void> {
  return parts.queue.run(databaseName(owner), () => dropKept(parts, owner))
}
