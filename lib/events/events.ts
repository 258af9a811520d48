import type { Messages } from '../cluster/messages.ts'
import type { FleetJob } from '../deploy/fleet/watched.ts'
import { EventHub, MAX_STREAMS } from './hub.ts'
import { type OverviewParts, OverviewReader } from './overview.ts'
import { Relay } from './relay.ts'
import type { Change, Listener, Sink } from './stream.ts'

/** Databases and failures of a job that are told, and characters of a message. */
const MAX_NAMED = 10
const MAX_MESSAGE = 300

/** Bytes of a job; a notification has 8,000. */
const MAX_JOB_BYTES = 6000

/** Jobs that are remembered. */
const MAX_JOBS = 100

interface EventsOptions extends OverviewParts {
  messages: Messages
  /** Returns the ids of the gateways, and of the workers of gateways, that are alive. */
  ids: () => string[]
  /** Workers of this gateway, which divide its streams. */
  workers: number
  log: { debug(message: string): void }
}

/** What operators are told of as it happens: on this gateway, and on the others. */
export class Events {
  readonly #hub: EventHub
  readonly #relay: Relay
  readonly #overview: OverviewReader
  readonly #ids: () => string[]
  /** Jobs that run, with the gateway that runs each; undefined: this one. */
  readonly #jobs = new Map<string, { change: Change; gateway: string | undefined }>()
  #lastOverview = ''
  #version = 0

  constructor(options: EventsOptions) {
    this.#ids = options.ids
    this.#overview = new OverviewReader(options)
    this.#relay = new Relay(options.messages, {
      onChange: (change, from) => this.#publish(change, from),
      // It may have missed how far they have come.
      onHeard: () => this.#tellOwnJobs(),
    })
    this.#hub = new EventHub({
      look: () => this.#look(),
      begin: () => this.#running(),
      onHeard: (isHeard) => this.#onHeard(isHeard),
      log: options.log,
      maxStreams: Math.ceil(MAX_STREAMS / options.workers),
    })
  }

  /**
   * Begins a stream. See `EventHub.open`.
   * @throws {GatewayError} pool_exhausted
   */
  open(sink: () => Sink, listener: Listener): () => void {
    return this.#hub.open(sink, listener)
  }

  /** Whether another gateway has streams, which are told of what happens here. */
  get isHeardElsewhere(): boolean {
    return this.#relay.isHeardElsewhere
  }

  /** Number of open streams. */
  get streams(): number {
    return this.#hub.size
  }

  /** Ends all streams, for a shutdown. */
  close(): void {
    this.#hub.close()
  }

  /** Tells that a row of the catalog has changed, which every gateway hears of. */
  noteCatalog(platform: string): void {
    if (this.#hub.isHeard) this.#hub.publish(this.#fleet(platform))
  }

  /** Tells that something of a platform has changed that the catalog does not notify. */
  noteFleet(platform: string): void {
    if (this.#isHeard) this.#tellAll(this.#fleet(platform))
  }

  /** Tells how far a deploy to several databases has come. */
  noteJob(job: FleetJob): void {
    const data = shortened(job)
    this.#tellAll({ name: 'job', key: `job ${job.id}`, platform: job.platform, data })
  }

  /** Tells of an entry of the audit trail that was written or has changed. */
  noteAudit(entry: { key: string; platform: string | null; databases: string[] }): void {
    if (!this.#isHeard) return
    const { key, ...rest } = entry
    const data = { key, ...rest, databases: entry.databases.slice(0, MAX_NAMED) }
    this.#tellAll({ name: 'audit', key: `audit ${key}`, platform: entry.platform, data })
  }

  get #isHeard(): boolean {
    return this.#hub.isHeard || this.isHeardElsewhere
  }

  #tellAll(change: Change): void {
    this.#publish(change)
    this.#relay.send(change)
  }

  /** Remembers jobs that run, for streams that begin later. */
  #publish(change: Change, gateway?: string): void {
    // Another gateway may not know yet that the last stream has ended; ends are not told later.
    if (gateway !== undefined && !this.#hub.isHeard) return
    if (change.name === 'job') {
      this.#jobs.delete(change.key)
      const isRunning = (change.data as FleetJob).state === 'running'
      if (isRunning && this.#jobs.size < MAX_JOBS) this.#jobs.set(change.key, { change, gateway })
    }
    this.#hub.publish(change)
  }

  /** Returns the jobs that run. The gateway of a job may have been killed. */
  #running(): Change[] {
    const alive = new Set(this.#ids())
    for (const [key, { gateway }] of this.#jobs) {
      if (gateway !== undefined && !alive.has(gateway)) this.#jobs.delete(key)
    }
    return [...this.#jobs.values()].map(({ change }) => change)
  }

  #fleet(platform: string): Change {
    this.#version = Math.max(this.#version + 1, Date.now())
    const data = { platform, version: this.#version }
    return { name: 'fleet', key: `fleet ${platform}`, platform, data }
  }

  async #look(): Promise<Change[]> {
    const data = await this.#overview.read()
    const text = JSON.stringify({ ...data, at: undefined })
    if (text === this.#lastOverview) return []
    this.#lastOverview = text
    return [{ name: 'overview', key: 'overview', platform: null, data }]
  }

  #onHeard(isHeard: boolean): void {
    this.#relay.setHeard(isHeard)
    if (isHeard) return
    this.#overview.end()
    this.#lastOverview = ''
    // The others tell no ends of them from now on, and tell those that still run when asked again.
    for (const [key, { gateway }] of this.#jobs) if (gateway !== undefined) this.#jobs.delete(key)
  }

  #tellOwnJobs(): void {
    for (const { change, gateway } of this.#jobs.values()) {
      if (gateway === undefined) this.#relay.send(change)
    }
  }
}

/** Returns a job with as many names, and as much of its messages, as a notification takes. */
function shortened({ running, failures, ...rest }: FleetJob): FleetJob {
  for (let [named, length] = [MAX_NAMED, MAX_MESSAGE]; ; named >>= 1, length >>= 1) {
    const cut = failures
      .slice(0, named)
      .map((one) => ({ ...one, message: one.message.slice(0, length).toWellFormed() }))
    const data = { ...rest, running: running.slice(0, named), failures: cut }
    const text = JSON.stringify(data)
    if (named === 0 || Buffer.byteLength(text) <= MAX_JOB_BYTES) return data
  }
}
