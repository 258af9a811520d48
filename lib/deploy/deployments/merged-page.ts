import { GatewayError } from '../../errors.ts'
import type { DeploymentQuery, DeploymentRow } from './table.ts'

/** A deployment in a list of one server, or of several. */
export type PlacedDeployment = DeploymentRow & { server?: string }

const AFTER_ONE = /^\d{1,16}$/
const AFTER_PLACE = /^(\d{4}-\d\d-\d\dT[\d:.]{8,15}\+00:00),(\d{1,16}),([a-z][a-z0-9_-]{0,31})$/

/** The order of a list: newest first, then by server, then the last id first. */
export function newestFirst(one: PlacedDeployment, other: PlacedDeployment): number {
  // Times of one zone are in the order of their texts.
  if (one.deployed_at !== other.deployed_at) return one.deployed_at < other.deployed_at ? 1 : -1
  if (one.server !== other.server) return one.server! < other.server! ? -1 : 1
  return other.id - one.id
}

/** Returns the `after` of the page that follows a deployment: its id, or its place among all servers. */
export function placeOf({ deployed_at, id, server }: PlacedDeployment): number | string {
  return server === undefined ? id : `${deployed_at},${id},${server}`
}

/**
 * Parses `after` of a page, as `placeOf` gives it.
 * @returns function that tells for a server which of its rows come after it
 * @throws {GatewayError} invalid_request
 */
export function parsePlace(
  { areSeveral }: { readonly areSeveral: boolean },
  after: unknown,
): (server: string) => Pick<DeploymentQuery, 'after' | 'before'> {
  if (after === undefined) return () => ({})
  const text = typeof after === 'string' ? after : ''
  if (!areSeveral) {
    const id = AFTER_ONE.test(text) ? Number(text) : 0
    if (id >= 1 && id <= Number.MAX_SAFE_INTEGER) return () => ({ after: id })
    throw new GatewayError(
      'invalid_request',
      `after must be a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`,
    )
  }
  const [, at, id, server] = AFTER_PLACE.exec(text) ?? []
  if (at === undefined || Number.isNaN(Date.parse(at))) {
    throw new GatewayError('invalid_request', 'after must be next_after of the page before')
  }
  return (name) => {
    if (name === server) return { before: { at, id: Number(id) } }
    // Of the same time: all rows of the servers after that one, and none of those before it.
    return { before: { at, id: name > server! ? Number.MAX_SAFE_INTEGER : 0 } }
  }
}
