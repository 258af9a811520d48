import type { Messages } from '../cluster/messages.ts'
import { GatewayError } from '../errors.ts'
import type { CallsInFlight, Cancelled, ShownCall } from './calls-in-flight.ts'

const CANCEL = 'cancel_call'
const LIST = 'calls_in_flight'

/** Milliseconds that another gateway has to cancel a call, which takes up to 2.5 s, and to answer. */
const CANCEL_LIMIT_MS = 4000

/** Milliseconds that the other gateways have to tell their calls. */
const LIST_LIMIT_MS = 500

/** What an id of a call in flight says. */
export interface CallId {
  gateway: string
  number: number
  platform: string
}

/**
 * Parses an id of a call in flight.
 * @throws {GatewayError} invalid_request if it is empty; call_not_found if no call can have it
 */
export function parseCallId(id: string): CallId {
  if (id === '') {
    throw new GatewayError('invalid_request', 'id is missing: that of a call in /admin/activity')
  }
  const [, gateway, number, platform] = /^([0-9a-f-]{36})\.(\d{1,15})\.(.+)$/.exec(id) ?? []
  if (gateway && platform) return { gateway, number: Number(number), platform }
  throw callNotFound()
}

/** The calls in flight on all gateways. */
export class CallsOfAll {
  readonly #self: string
  readonly #own: CallsInFlight
  readonly #messages: Messages

  /** @param self id of this gateway */
  constructor(self: string, own: CallsInFlight, messages: Messages) {
    this.#self = self
    this.#own = own
    this.#messages = messages
    messages.answer(LIST, () => own.list())
    messages.answer(CANCEL, (body) => {
      const { number, platform } = body as CallId
      return own.cancel(number, platform)
    })
  }

  /**
   * Returns the calls in flight of all gateways that answer soon, those of this one first, as far as
   * the client may name their platforms, and the ids of the gateways that have not answered.
   * @param mayName whether the client may name a platform; undefined: all of them
   */
  async list(
    mayName?: (platform: string) => boolean,
  ): Promise<{ calls: ShownCall[]; unanswered: string[] }> {
    const asked = this.#messages.others()
    const others = await this.#messages
      .ask(LIST, null, { limitMs: LIST_LIMIT_MS })
      // PostgreSQL is away: this gateway's calls are known all the same.
      .catch(() => [])
    const answered = new Set(others.map(({ gateway }) => gateway))
    const theirs = others.flatMap(({ body }) => body as ShownCall[])
    return {
      calls: [
        ...this.#own.list(mayName),
        ...theirs.filter(({ platform }) => mayName?.(platform) ?? true),
      ],
      unanswered: asked.filter((id) => !answered.has(id)),
    }
  }

  /**
   * Cancels a call in flight, on whichever gateway it is.
   * @returns undefined if its gateway has not said in time how that ended
   * @throws {GatewayError} call_not_found
   */
  async cancel(id: CallId): Promise<Cancelled | undefined> {
    if (id.gateway === this.#self) {
      const cancelled = await this.#own.cancel(id.number, id.platform)
      if (cancelled) return cancelled
      throw callNotFound()
    }
    if (!this.#messages.isAlive(id.gateway)) throw callNotFound()
    const limits = { to: id.gateway, limitMs: CANCEL_LIMIT_MS }
    const [answer] = await this.#messages.ask(CANCEL, id, limits)
    if (answer && answer.body === null) throw callNotFound()
    return answer?.body as Cancelled | undefined
  }
}

function callNotFound(): GatewayError {
  return new GatewayError(
    'call_not_found',
    'No call in flight has this id: it has ended, or its gateway has',
  )
}
