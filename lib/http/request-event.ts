import type { IncomingMessage, ServerResponse } from 'node:http'
import { H3Event, type H3EventContext } from 'h3'
import { NodeRequest } from 'srvx/node'

/**
 * An H3Event that creates its Request and URL when a handler reads them. Most handlers read only
 * Node's request. Everything else is inherited from H3Event.
 */
class RequestEvent {
  readonly context: H3EventContext
  readonly runtime: { name: 'node'; node: { req: IncomingMessage; res: ServerResponse } }
  #event: H3Event | undefined

  constructor(req: IncomingMessage, res: ServerResponse, context: H3EventContext) {
    this.context = context
    this.runtime = { name: 'node', node: { req, res } }
  }

  get req(): H3Event['req'] {
    return this.#full.req
  }

  set req(request: H3Event['req']) {
    Object.assign(this.#full, { req: request })
  }

  get url(): URL {
    return this.#full.url
  }

  set url(url: URL) {
    Object.assign(this.#full, { url })
  }

  get #full(): H3Event {
    this.#event ??= new H3Event(new NodeRequest(this.runtime.node), this.context)
    return this.#event
  }
}

// Not `extends`: the constructor of H3Event would create them at once.
Object.setPrototypeOf(RequestEvent.prototype, H3Event.prototype)

/** Returns the event that a handler gets. */
export function createEvent(
  req: IncomingMessage,
  res: ServerResponse,
  context: H3EventContext,
): H3Event {
  return new RequestEvent(req, res, context) as unknown as H3Event
}
