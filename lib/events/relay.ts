import type { Messages } from '../cluster/messages.ts'
import type { Change } from './stream.ts'

const HEARD = 'events_heard'
const CHANGES = 'events'

/** Body of the first announcement of a gateway that had no streams. */
const FIRST = 'first'

/** Milliseconds between two announcements that this gateway has streams. */
const ANNOUNCE_EVERY_MS = 10_000

/** Milliseconds for which an announcement counts. */
const HEARD_MS = 25_000

/** Milliseconds over which changes for other gateways are collected. */
const COLLECT_MS = 500

/** Changes that are sent at once; of more, the first are dropped. */
const MAX_SENT = 50

interface RelayOptions {
  /** Called with each change of another gateway, and its id. */
  onChange: (change: Change, from: string) => void
  /** Called when another gateway has streams that had none. */
  onHeard: () => void
}

/**
 * Hands changes on to those gateways that have streams: they announce it, and again every 10 s.
 * While no other gateway has any, nothing is sent.
 */
export class Relay {
  readonly #messages: Messages
  /** Time up to which a gateway has streams (`performance.now()`), by id. */
  readonly #heardUntil = new Map<string, number>()
  readonly #collected = new Map<string, Change>()
  #announcing: NodeJS.Timeout | undefined
  #sending: NodeJS.Timeout | undefined

  constructor(messages: Messages, { onChange, onHeard }: RelayOptions) {
    this.#messages = messages
    messages.answer(HEARD, (isFirst, from) => {
      const now = performance.now()
      const isNew = isFirst === FIRST || !((this.#heardUntil.get(from) ?? 0) > now)
      this.#heardUntil.set(from, now + HEARD_MS)
      if (isNew) onHeard()
    })
    messages.answer(CHANGES, (change, from) => {
      if (isChange(change)) onChange(change, from)
    })
  }

  /** Has the other gateways send their changes from now on, or no more. */
  setHeard(isHeard: boolean): void {
    clearInterval(this.#announcing)
    if (!isHeard) return
    this.#messages.tell(HEARD, FIRST)
    const again = () => this.#messages.tell(HEARD, null)
    this.#announcing = setInterval(again, ANNOUNCE_EVERY_MS).unref()
  }

  /** Whether another gateway has streams. */
  get isHeardElsewhere(): boolean {
    const now = performance.now()
    for (const [gateway, until] of this.#heardUntil) {
      if (until > now) return true
      this.#heardUntil.delete(gateway)
    }
    return false
  }

  /** Sends a change to the others, with those of the next half second. */
  send(change: Change): void {
    if (!this.isHeardElsewhere) return
    this.#collected.delete(change.key)
    this.#collected.set(change.key, change)
    this.#sending ??= setTimeout(() => {
      this.#sending = undefined
      const changes = [...this.#collected.values()].slice(-MAX_SENT)
      this.#collected.clear()
      for (const one of changes) this.#messages.tell(CHANGES, one)
    }, COLLECT_MS).unref()
  }
}

/** Any role may send notifications on the channel. */
function isChange(value: unknown): value is Change {
  const { name, key, platform, data } = (value ?? {}) as Record<string, unknown>
  const isNamed = name === 'fleet' || name === 'job' || name === 'audit'
  const isOfOne = platform === null || typeof platform === 'string'
  return isNamed && isOfOne && typeof key === 'string' && typeof data === 'object' && data !== null
}
