import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { H3Event } from 'h3'
import type { DeployOrigin } from './deploy/result.ts'
import type { Gateway } from './gateway.ts'

/** What the gateway knows of a request besides what the handler reads of it. */
export interface RequestContext {
  id: string
  /** Of the client, behind the trusted proxies; undefined where a proxy named none that is one. */
  address: string | undefined
  /** Whether the address is in the allowlist. */
  isAllowed: boolean
  startedAt: number
  /** For the log, as soon as they are known. */
  platform: string | undefined
  database: string | undefined
}

declare module 'h3' {
  interface H3EventContext {
    gateway: Gateway
    request: RequestContext
  }
}

/** Who may call an endpoint. Everything below `admin/` is `admin`, whatever it says. */
export type Access = 'network' | 'admin' | 'public'

/** What a handler says of itself in `defineHandler({ meta })`. */
export interface HandlerMeta {
  access?: Access
  description?: string
}

declare module 'h3' {
  interface H3RouteMeta extends HandlerMeta {}
}

const REQUEST_ID = /^[\w.:-]{1,128}$/

/** The client's own request id, if it is a valid one, or else a new one. */
export function requestId(req: IncomingMessage): string {
  const own = req.headers['x-request-id']
  return typeof own === 'string' && REQUEST_ID.test(own) ? own : randomUUID()
}

/** Who asks, for the ledgers. */
export function originOf({ id, address }: RequestContext): DeployOrigin {
  return { requestId: id, address: address ?? '' }
}

/** Node's own request and response below an event. */
export function nodeOf(event: H3Event): { req: IncomingMessage; res: ServerResponse } {
  const node = event.runtime?.node
  if (!node?.res) throw new Error('The gateway runs on Node alone')
  return node as { req: IncomingMessage; res: ServerResponse }
}
