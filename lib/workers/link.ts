import type { DividedPools, Question, ServiceOfWorker, ShareOfService } from '../cluster/service.ts'
import type { Load } from '../systemd/describe-status.ts'
import type { Boot, ShareState, ToParent, ToWorker } from './messages.ts'
import { Part } from './part.ts'
import { MAIN } from './shares.ts'

/** Milliseconds that the other workers have to answer. */
const ANSWER_LIMIT_MS = 1000

interface LinkOptions {
  send: (message: ToParent) => void
  reload: () => void
  stop: (options: { isReplaced: boolean }) => void
  load: () => Load
}

/** A worker's side of the channel to its parent. */
export class Link implements ServiceOfWorker {
  readonly worker: number
  readonly workers: number
  readonly startedAt: number
  readonly isFirst: boolean
  readonly #boot: Boot
  #isLeader: boolean
  #shares: Record<string, ShareState>
  readonly #listeners = new Map<string, ShareOfService>()
  readonly #options: LinkOptions
  readonly #parts = new Map<string, Part>()
  /** Connections that were given before the pools of their server were there. */
  readonly #given = new Map<string, number>()
  readonly #handlers = new Map<string, () => unknown>()
  readonly #asked = new Map<number, (bodies: unknown[]) => void>()
  #lastId = 0
  #onGiven: (() => void) | undefined

  constructor(boot: Boot, options: LinkOptions) {
    this.#options = options
    this.#boot = boot
    this.worker = boot.worker
    this.workers = boot.workers
    this.startedAt = performance.now() - boot.upMs
    this.isFirst = boot.isFirst
    this.#isLeader = boot.isLeader
    this.#shares = boot.shares
  }

  /** Resolves when this worker may open a connection. */
  async mayConnect(): Promise<void> {
    if (this.#given.has(MAIN)) return
    await new Promise<void>((resolve) => {
      this.#onGiven = resolve
    })
  }

  shareOf(server: string): ShareOfService {
    const link = this
    const share: ShareOfService = {
      id: this.#boot.service,
      worker: this.worker,
      parent: this.#boot.parent,
      get isLeader() {
        return link.#isLeader
      },
      get share() {
        return link.#stateOf(server).share
      },
      get held() {
        return link.#stateOf(server).held
      },
      setShare: (connections) => this.#setShare(server, connections),
      onChange: undefined,
    }
    this.#listeners.set(server, share)
    return share
  }

  divide(name: string, server: string, pools: DividedPools): void {
    const received = this.#given.get(name) ?? 0
    this.#parts.set(name, new Part(name, server, pools, received, this.#options.send))
  }

  ask(kind: Question, body: unknown): Promise<unknown[]> {
    const id = ++this.#lastId
    return new Promise((resolve) => {
      const end = (bodies: unknown[]) => {
        clearTimeout(timer)
        this.#asked.delete(id)
        resolve(bodies)
      }
      const timer = setTimeout(() => end([]), ANSWER_LIMIT_MS)
      this.#asked.set(id, end)
      this.#options.send({ type: 'ask', id, kind, body })
    })
  }

  answer(kind: Question, handler: () => unknown): void {
    this.#handlers.set(kind, handler)
  }

  /** Takes a message of the parent. */
  onMessage(message: ToWorker): void {
    switch (message.type) {
      case 'add':
        this.#add(message.name, message.connections)
        break
      case 'give':
        this.#give(message)
        break
      case 'share':
        this.#noteShare(message)
        break
      case 'ask':
        this.#answer(message.id, message.kind)
        break
      case 'answers':
        this.#asked.get(message.id)?.(message.bodies)
        break
      case 'reload':
        this.#options.reload()
        break
      case 'ping':
        this.#options.send({ type: 'pong', load: this.#options.load() })
        break
      case 'stop':
        this.#options.stop(message)
    }
  }

  /** Of a server of which the parent has told nothing yet, each worker may open one connection. */
  #stateOf(server: string): ShareState {
    const { workers } = this.#boot
    return this.#shares[server] ?? { share: workers, held: workers }
  }

  #setShare(server: string, share: number): void {
    const before = this.#stateOf(server)
    // Until the parent says that those beyond it are closed.
    const held = share < before.share ? Math.max(before.held, before.share) : share
    this.#shares = { ...this.#shares, [server]: { share, held } }
    this.#options.send({ type: 'share', server, share })
  }

  #add(name: string, connections: number): void {
    const part = this.#parts.get(name)
    if (part) {
      part.add(connections)
      return
    }
    this.#given.set(name, (this.#given.get(name) ?? 0) + connections)
    if (name === MAIN) this.#onGiven?.()
  }

  #give(message: Extract<ToWorker, { type: 'give' }>): void {
    const { name } = message
    const part = this.#parts.get(name)
    if (part) {
      part.give(message)
      return
    }
    const capacity = this.#given.get(name) ?? 0
    const state = { capacity, held: 0, busy: 0, wanted: 0, received: capacity }
    this.#options.send({ type: 'part', name, server: name, ...state, isAnswer: true })
  }

  #noteShare({ shares, isLeader }: Extract<ToWorker, { type: 'share' }>): void {
    this.#isLeader = isLeader
    this.#shares = shares
    for (const { onChange } of this.#listeners.values()) onChange?.()
  }

  async #answer(id: number, kind: string): Promise<void> {
    const body = await Promise.resolve(this.#handlers.get(kind)?.()).catch(() => undefined)
    this.#options.send({ type: 'answer', id, body })
  }
}
