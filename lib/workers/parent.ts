import { randomUUID } from 'node:crypto'
import { type Config, logSettings, type Settings } from '../config.ts'
import { checkAddress } from '../http/listener/check-address.ts'
import type { Log } from '../log.ts'
import { startOwnServer } from '../open-server.ts'
import type { EmbeddedPostgres } from '../postgres/embedded.ts'
import { parseDatabaseUrl } from '../postgres/hosts/server.ts'
import type { Load } from '../systemd/describe-status.ts'
import { Crew, type Member } from './crew.ts'
import { EndedMetrics } from './ended-metrics.ts'
import { Gather } from './gather.ts'
import { Leadership } from './leadership.ts'
import { LeftSessions } from './left-sessions.ts'
import type { ToParent } from './messages.ts'
import { Shares } from './shares.ts'

interface ParentOptions {
  settings: Settings
  log: Log
  /** Environment of the workers, with the secrets. */
  env: NodeJS.ProcessEnv
  /** Descriptor of a passed socket. */
  socket: number | undefined
  /** Whether the log goes to systemd's journal. */
  journal: boolean
  /** Ends a start. */
  signal: AbortSignal
  /** Called when the service cannot go on: its PostgreSQL has ended, or no worker can run. */
  onFailure: () => void
}

/** A running service of several workers. */
export interface RunningService {
  reload(settings: Config): void
  /** Replaces one worker after the other, with all settings as the file has them now. */
  replaceWorkers(): void
  /** Goes on for SHUTDOWN_DELAY_SECS, in which load balancers turn to other gateways. */
  retire(): Promise<void>
  /** Waits for running requests, and stops the workers and the embedded PostgreSQL. */
  stop(): Promise<void>
  load(): Load
  /** Whether all workers run and answer. */
  isAlive(): boolean
}

/** Connections without which a worker cannot start, listen and deploy. */
const FEWEST = 4

/**
 * Starts the embedded PostgreSQL, if the settings name no other, and the workers.
 * @throws {Error} with a message of one line, if a worker cannot start
 */
export async function startWorkers(options: ParentOptions): Promise<RunningService> {
  const { settings, log, env, socket, journal, signal, onFailure } = options
  const { config } = settings
  const { workers: count } = config
  checkConnections(config)
  for (const warning of config.warnings) log.warn(warning)
  if (socket === undefined) await checkAddress(config.host, config.port)
  const embedded: EmbeddedPostgres | undefined = config.server
    ? undefined
    : await startOwnServer(config, log, onFailure)
  const service = randomUUID()
  const ended = new EndedMetrics()
  const shares = new Shares(count, {
    send: (worker, message) => crew.send(worker, message),
    onSettled: () => leadership.tell(),
    onLeft: (name, worker) => void left.watch(name, worker),
  })
  const left = new LeftSessions(shares, settings, embedded && parseDatabaseUrl(embedded.url))
  const leadership = new Leadership(shares, {
    ready: () => crew.ready,
    tell: (worker, message) => crew.send(worker, message),
  })
  const gather = new Gather((worker, question) => crew.send(worker, { type: 'ask', ...question }))
  const listening = new Map<number, Extract<ToParent, { type: 'ready' }>>()
  let hasStarted = false
  /** Workers that wait until the first has prepared the catalog. */
  const waiting: Member[] = []

  const greet = (member: Member) => {
    if (member.number === 1 || listening.size > 0) boot(member)
    else waiting.push(member)
  }
  const boot = ({ id, number }: Member) => {
    if (!hasStarted) leadership.lead(id)
    crew.send(id, {
      type: 'boot',
      service,
      worker: number,
      workers: count,
      parent: process.pid,
      upMs: performance.now(),
      isFirst: !hasStarted,
      ...leadership.stateOf(id),
      file: settings.file,
      embeddedUrl: embedded?.url,
      socket,
      journal,
      isTerminal: process.stdout.isTTY === true,
    })
    hasStarted = true
    shares.join(id)
  }
  const answer = async (member: Member, { id, kind, body }: Extract<ToParent, { type: 'ask' }>) => {
    const keep = (worker: number, one: unknown) => kind === 'metrics' && ended.note(worker, one)
    keep(member.id, body)
    const others = crew.answering.map((other) => other.id).filter((other) => other !== member.id)
    const bodies = await gather.ask(others, kind, keep)
    if (kind === 'metrics') bodies.push(ended.metrics)
    crew.send(member.id, { type: 'answers', id, bodies })
  }
  const crew = new Crew({
    count,
    log,
    env,
    onReady: (member, told) => {
      listening.set(member.number, told)
      leadership.choose()
      // Shares may have changed while it started, which those that listen were told.
      leadership.tell()
      waiting.splice(0).forEach(boot)
    },
    onGone: ({ id, state }) => {
      gather.leave(id)
      ended.end(id)
      leadership.choose()
      shares.leave(id, state === 'leaving')
    },
    onMessage: (member, message) => {
      if (message.type === 'hello') greet(member)
      else if (message.type === 'part') shares.report(member.id, message)
      else if (message.type === 'session') shares.noteSession(member.id, message)
      else if (message.type === 'share')
        leadership.noteShare(member.id, message.server, message.share)
      else if (message.type === 'ask') answer(member, message)
      else if (message.type === 'answer') gather.note(member.id, message.id, message.body)
    },
    onSilent: ({ id }) => leadership.choose(id),
    onHopeless: onFailure,
  })
  const stop = async () => {
    await crew.stop()
    left.end()
    shares.end()
    await embedded?.stop()
  }
  // A start that is ended waits for no PostgreSQL.
  signal.addEventListener('abort', () => crew.dismissStarting())
  try {
    signal.throwIfAborted()
    await crew.start()
    signal.throwIfAborted()
  } catch (error) {
    await stop()
    throw error
  }
  const { url, facts } = listening.get(1)!
  log.info(`Listening on ${url}`, { ...facts, workers: count })
  return {
    reload(changed) {
      log.configure(logSettings(changed))
      crew.sendAll({ type: 'reload' })
    },
    async replaceWorkers() {
      try {
        settings.takeAll()
        await crew.replaceAll()
      } catch (error) {
        log.error(`The workers are not replaced: ${(error as Error).message}`)
      }
    },
    // Each worker does so before it stops.
    retire: async () => {},
    stop,
    load: () => ({
      ...shares.total,
      deploys: crew.answering.reduce((sum, { load }) => sum + load.deploys, 0),
      away: [...new Set(crew.ready.flatMap(({ load }) => load.away))],
    }),
    isAlive: () => crew.isAlive,
  }
}

function checkConnections({ workers, maxTotalConnections: most }: Config): void {
  if (most >= FEWEST * workers) return
  throw new Error(
    `MAX_TOTAL_CONNECTIONS: ${most} is too few for ${workers} workers (WORKERS): each needs ${FEWEST}`,
  )
}
