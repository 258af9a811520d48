import { once } from 'node:events'
import {
  type AddressInfo,
  connect,
  createServer,
  type NetConnectOpts,
  type Server,
  type Socket,
} from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** Action on bytes that a client sends; bytes that are not forwarded are lost. */
export type Verdict = 'forward' | 'cut' | 'forward, and cut instead of the answer'

/** Decides about bytes as the client sends them. */
export type Inspect = (bytes: Buffer) => Verdict

interface Link {
  client: Socket
  server: Socket
  /** True if the next response of the server is to be dropped and the link cut. */
  isDoomed: boolean
}

/** A TCP proxy between gateway and PostgreSQL that simulates network faults. */
export class FaultProxy {
  readonly #target: NetConnectOpts
  readonly #server: Server
  readonly #links = new Set<Link>()
  #port = 0
  #delayMs = 0
  #isBlackHole = false
  #cutsAtOnce = 0
  #inspect: Inspect = () => 'forward'

  static async start(target: NetConnectOpts): Promise<FaultProxy> {
    const proxy = new FaultProxy(target)
    await proxy.#listen()
    return proxy
  }

  private constructor(target: NetConnectOpts) {
    this.#target = target
    this.#server = createServer({ allowHalfOpen: true }, (client) => this.#link(client))
  }

  get port(): number {
    return this.#port
  }

  /** Number of open connections through the proxy. */
  get links(): number {
    return this.#links.size
  }

  /** Resets all connections (RST), at both ends. */
  cut(): void {
    for (const link of this.#links) this.#cut(link)
  }

  /** Resets the next `count` connections as soon as they are accepted. */
  cutNext(count: number): void {
    this.#cutsAtOnce = count
  }

  /** Delays all bytes in both directions. */
  delay(ms: number): void {
    this.#delayMs = ms
  }

  /** Accepts connections and bytes, and forwards nothing: neither bytes nor the end of a stream. */
  blackHole(): void {
    this.#isBlackHole = true
  }

  /** Ends one direction of each connection: the one that the gateway sends in, or PostgreSQL. */
  halfClose(sender: 'gateway' | 'PostgreSQL'): void {
    for (const { client, server } of this.#links) (sender === 'gateway' ? server : client).end()
  }

  /** Lets `inspect` decide about all bytes from now on. */
  inspect(inspect: Inspect): void {
    this.#inspect = inspect
  }

  /** Ends all faults for new connections, and resets connections that were in a black hole. */
  heal(): void {
    this.#delayMs = 0
    this.#cutsAtOnce = 0
    this.#inspect = () => 'forward'
    if (this.#isBlackHole) this.cut()
    this.#isBlackHole = false
  }

  async stop(): Promise<void> {
    this.heal()
    this.cut()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
  }

  #link(client: Socket): void {
    if (this.#cutsAtOnce > 0) {
      this.#cutsAtOnce--
      client.on('error', () => {}).resetAndDestroy()
      return
    }
    const server = connect({ ...this.#target, allowHalfOpen: true })
    const link: Link = { client: client.setNoDelay(), server: server.setNoDelay(), isDoomed: false }
    this.#links.add(link)
    this.#pipe(link, client, server, (bytes) => this.#fromClient(link, bytes))
    this.#pipe(link, server, client, () => this.#fromServer(link))
  }

  /**
   * Forwards the bytes that `mayPass` accepts, and the end of the stream. An error or a close of
   * one side cuts the other.
   */
  #pipe(link: Link, from: Socket, to: Socket, mayPass: (bytes: Buffer) => boolean): void {
    let order = Promise.resolve()
    const inOrder = (action: () => void) => {
      const delayMs = this.#delayMs
      order = order.then(() => (delayMs > 0 ? sleep(delayMs) : undefined)).then(action)
    }
    from.on('data', (bytes) => {
      if (this.#isBlackHole || !mayPass(bytes)) return
      inOrder(() => to.writable && to.write(bytes))
    })
    from.on('end', () => {
      if (!this.#isBlackHole) inOrder(() => to.end())
    })
    from.on('error', () => {
      if (!this.#isBlackHole) this.#cut(link)
    })
    from.on('close', () => {
      if (from.destroyed && to.destroyed) this.#links.delete(link)
    })
  }

  #fromClient(link: Link, bytes: Buffer): boolean {
    const verdict = this.#inspect(bytes)
    if (verdict === 'cut') this.#cut(link)
    if (verdict === 'forward, and cut instead of the answer') link.isDoomed = true
    return verdict !== 'cut'
  }

  #fromServer(link: Link): boolean {
    if (link.isDoomed) this.#cut(link)
    return !link.isDoomed
  }

  #cut(link: Link): void {
    this.#links.delete(link)
    link.client.resetAndDestroy()
    // Unix-domain sockets have no RST.
    if ('path' in this.#target) link.server.destroy()
    else link.server.resetAndDestroy()
  }
}
