import cluster, { type Worker } from 'node:cluster'
import type { Log } from '../log.ts'
import type { Load } from '../systemd/describe-status.ts'
import { passLines } from './lines.ts'
import type { ToParent, ToWorker } from './messages.ts'
import { watchDeliveries } from './undelivered.ts'

/** A process of the crew. */
export interface Member {
  /** Unique; the one that replaces it has another. */
  id: number
  /** Number from 1, which the one that replaces it has too. */
  number: number
  state: 'starting' | 'ready' | 'leaving'
  startedAt: number
  /** Pings since its last answer. */
  unanswered: number
  load: Load
}

interface Process extends Member {
  process: Worker
  /** Resolves when the process has ended and all that it wrote has been handed on. */
  ended: Promise<void>
  isReady: Promise<boolean>
}

interface CrewOptions {
  count: number
  log: Log
  /** Environment of the workers. */
  env: NodeJS.ProcessEnv
  /** Called when a process listens, and when it has ended. */
  onReady(member: Member, told: Extract<ToParent, { type: 'ready' }>): void
  onGone(member: Member): void
  onMessage(member: Member, message: ToParent): void
  /** Called when a process has not answered for some seconds. */
  onSilent(member: Member): void
  /** Called when there is no worker and none can be started. */
  onHopeless(): void
}

/** A worker that ran for less counts as one that cannot run: the next is started later. */
const STABLE_MS = 5000

const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 10_000

/** Starts that fail in a row, without a worker that runs, after which the service gives up. */
const MOST_FAILURES = 5

const PING_EVERY_MS = 1000

/** Pings without an answer after which a worker counts as one that does not answer, and is ended. */
const SILENT_AFTER = 5
const FROZEN_AFTER = 30

/** The processes of the workers: started, replaced when they end, and stopped. */
export class Crew {
  readonly #options: CrewOptions
  readonly #members = new Map<number, Process>()
  /** Starts that have failed in a row, by number of the worker. */
  readonly #failures = new Map<number, number>()
  #pinging: NodeJS.Timeout | undefined
  #replacing: Promise<void> | undefined
  #isStopping = false
  #isStarted = false

  constructor(options: CrewOptions) {
    this.#options = options
    const stdio = ['ignore', 'pipe', 'pipe', 'ipc'] as const
    cluster.schedulingPolicy = cluster.SCHED_RR
    cluster.setupPrimary({ stdio: [...stdio] })
    process.once('exit', () => this.kill())
  }

  /** The processes that listen, by their numbers. */
  get ready(): Member[] {
    const ready = [...this.#members.values()].filter(({ state }) => state === 'ready')
    return ready.sort((one, other) => one.number - other.number)
  }

  /** All processes that listen, or finish their requests, and answer. */
  get answering(): Member[] {
    return [...this.#members.values()].filter((one) => one.state !== 'starting' && answers(one))
  }

  /** Whether all workers run and answer. */
  get isAlive(): boolean {
    const { ready } = this
    return ready.length >= this.#options.count && ready.every(answers)
  }

  send(id: number, message: ToWorker): void {
    const { process } = this.#members.get(id) ?? {}
    if (process?.isConnected()) process.process.send(message, () => {})
  }

  sendAll(message: ToWorker): void {
    for (const id of this.#members.keys()) this.send(id, message)
  }

  /**
   * Starts the workers.
   * @throws {Error} if one of them does not start
   */
  async start(): Promise<void> {
    const numbers = Array.from({ length: this.#options.count }, (_, i) => i + 1)
    await Promise.all(numbers.map((number) => this.#startFirst(number)))
    this.#isStarted = true
    this.#pinging = setInterval(() => this.#ping(), PING_EVERY_MS).unref()
  }

  /** Replaces one worker after the other, each when its successor listens. */
  replaceAll(): Promise<void> {
    this.#replacing ??= this.#replaceAll().finally(() => {
      this.#replacing = undefined
    })
    return this.#replacing
  }

  /** Stops all workers when their requests have ended. */
  async stop(): Promise<void> {
    this.#isStopping = true
    const all = [...this.#members.values()]
    for (const one of all) this.#dismiss(one, false)
    await Promise.all(all.map(({ ended }) => ended))
    clearInterval(this.#pinging)
  }

  /** Stops the workers that do not listen yet, and starts no more. */
  dismissStarting(): void {
    this.#isStopping = true
    for (const one of this.#members.values()) {
      if (one.state === 'starting') this.#dismiss(one, false)
    }
  }

  /** Ends all workers at once. */
  kill(): void {
    this.#isStopping = true
    for (const { process } of this.#members.values()) process.process.kill('SIGKILL')
  }

  async #startFirst(number: number): Promise<void> {
    const member = this.#fork(number)
    if (await member.isReady) return
    await member.ended
    if (!this.#isStopping) throw new Error(`Worker ${number} could not start`)
  }

  #fork(number: number): Process {
    const worker = cluster.fork(this.#options.env)
    const load = { held: 0, capacity: 0, deploys: 0, away: [] }
    const startedAt = performance.now()
    const { stdout, stderr } = worker.process
    if (stdout) passLines(stdout, (text) => process.stdout.write(text))
    if (stderr) passLines(stderr, (text) => process.stderr.write(text))
    const handOn = watchDeliveries(worker.process)
    const isReady = new Promise<boolean>((resolve) => {
      worker.on('message', (message: ToParent) => {
        if (message.type === 'ready') {
          if (member.state === 'starting') member.state = 'ready'
          resolve(true)
        }
        this.#onMessage(member, message)
      })
      worker.once('exit', () => resolve(false))
    })
    const ended = new Promise<void>((resolve) => worker.process.once('close', () => resolve()))
    const member: Process = {
      id: worker.id,
      number,
      state: 'starting',
      startedAt,
      unanswered: 0,
      load,
      process: worker,
      ended,
      isReady,
    }
    this.#members.set(member.id, member)
    worker.on('error', () => {})
    worker.once('exit', (code, signal) => {
      this.#onExit(member, signal ?? `status ${code}`)
      const [other] = this.ready
      handOn(other && this.#members.get(other.id)?.process.process)
    })
    return member
  }

  #onMessage(member: Process, message: ToParent): void {
    // What it has sent may arrive when it has ended: then it takes part in nothing.
    if (!this.#members.has(member.id) && message.type !== 'session') return
    if (message.type === 'pong') {
      member.unanswered = 0
      member.load = message.load
    } else if (message.type === 'hello' && member.state === 'leaving') {
      // It could not be told before it listened to its parent.
      this.#dismiss(member, false)
    } else if (message.type === 'ready') this.#options.onReady(member, message)
    else this.#options.onMessage(member, message)
  }

  #onExit(member: Process, how: string): void {
    const { number, state } = member
    this.#members.delete(member.id)
    this.#options.onGone(member)
    if (this.#isStopping || !this.#isStarted || state === 'leaving') return
    const wasStable = state === 'ready' && performance.now() - member.startedAt > STABLE_MS
    const failures = wasStable ? 0 : (this.#failures.get(number) ?? 0) + 1
    this.#failures.set(number, failures)
    // A successor of one that still works: `#replaceAll` tells.
    if (this.#has(number)) return
    if (failures >= MOST_FAILURES && this.ready.length === 0) {
      this.#options.log.error(`Worker ${number} has ended (${how}), and no other one runs`)
      this.#options.onHopeless()
      return
    }
    // The first one that has worked is replaced at once, however short its time was.
    const isAtOnce = failures === 0 || (failures === 1 && state === 'ready')
    const pause = isAtOnce ? 0 : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1))
    const when = pause === 0 ? 'now' : `in ${pause / 1000} s`
    this.#options.log.warn(`Worker ${number} has ended (${how}): another one starts ${when}`)
    setTimeout(() => {
      if (!this.#isStopping && !this.#has(number)) this.#fork(number)
    }, pause)
  }

  #has(number: number): boolean {
    for (const { number: other, state } of this.#members.values()) {
      if (other === number && state !== 'leaving') return true
    }
    return false
  }

  async #replaceAll(): Promise<void> {
    const { log } = this.#options
    for (const before of this.ready) {
      const { number } = before
      // It has ended meanwhile: what replaces it has started with the settings of now.
      if (this.#members.get(before.id)?.state !== 'ready') continue
      if (this.#isStopping) return
      const next = this.#fork(number)
      const isReady = await next.isReady
      if (this.#isStopping) return
      if (!isReady) {
        log.error(`Worker ${number} is not replaced: its successor could not start`)
        return
      }
      const process = this.#members.get(before.id)
      // It has ended, and its successor is here.
      if (process?.state !== 'ready') continue
      log.info(`Worker ${number} is replaced: its requests finish first`)
      this.#dismiss(process, true)
      await process.ended
    }
    if (!this.#isStopping) log.info('All workers are replaced')
  }

  #dismiss(member: Process, isReplaced: boolean): void {
    member.state = 'leaving'
    this.send(member.id, { type: 'stop', isReplaced })
  }

  #ping(): void {
    for (const member of this.#members.values()) {
      if (member.state === 'starting') continue
      if (member.unanswered >= FROZEN_AFTER) {
        const seconds = (member.unanswered * PING_EVERY_MS) / 1000
        this.#options.log.error(`Worker ${member.number} has not answered for ${seconds} s: ended`)
        member.process.process.kill('SIGKILL')
        continue
      }
      member.unanswered++
      if (member.unanswered === SILENT_AFTER) this.#options.onSilent(member)
      this.send(member.id, { type: 'ping' })
    }
  }
}

function answers({ unanswered }: Member): boolean {
  return unanswered < SILENT_AFTER
}
