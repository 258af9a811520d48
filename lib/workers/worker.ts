import { forgetSecrets } from '../config/secrets.ts'
import { type Config, logSettings, Settings } from '../config.ts'
import { createLog, type Log, workerLinesTaken } from '../log.ts'
import { reloadSettings } from '../reload.ts'
import { loadOf, type RunningGateway, startGateway } from '../start.ts'
import { dividedSettings } from './divided-settings.ts'
import { Link } from './link.ts'
import type { Boot, ToParent, ToWorker } from './messages.ts'

/**
 * Runs this process as a worker: a gateway that the parent starts, reloads and stops. node:cluster ends
 * it when the parent has ended.
 * @param handlersFolder folder of the endpoints
 */
export async function runWorker(handlersFolder: string): Promise<void> {
  // A terminal sends them to all processes of a group; the parent tells what they mean.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGUSR2'] as const) process.on(signal, () => {})
  const { boot, listen } = await hello()
  const log = createLog('info', target(boot), boot)
  const stopping = new AbortController()
  let settings: Settings | undefined
  let running: RunningGateway | undefined
  let isReloadAsked = false

  const finish = async (isReplaced: boolean) => {
    try {
      // The parent gives new connections to the one that replaces this.
      if (!isReplaced) await running?.retire()
      await running?.stop({ isReplaced })
      await workerLinesTaken()
      process.exit(0)
    } catch (error) {
      log.error(`The shutdown failed: ${(error as Error).message}`)
      process.exit(1)
    }
  }
  const link = new Link(boot, {
    send,
    reload: () => {
      isReloadAsked = true
      if (settings && running) reload(settings, running, boot.workers, log)
    },
    stop: ({ isReplaced }) => {
      if (stopping.signal.aborted) return
      stopping.abort()
      if (running) finish(isReplaced)
    },
    load: () =>
      running ? loadOf(running.gateway) : { held: 0, capacity: 0, deploys: 0, away: [] },
  })
  listen((message) => link.onMessage(message))

  try {
    settings = new Settings(process.cwd(), process.env, boot)
    forgetSecrets(process.env)
    log.configure(logSettings(settings.config))
    await link.mayConnect()
    running = await startGateway(
      dividedSettings(settings.config, boot.workers),
      log,
      handlersFolder,
      {
        signal: stopping.signal,
        socket: boot.socket,
        worker: { service: link, embeddedUrl: boot.embeddedUrl },
      },
    )
    if (stopping.signal.aborted) await finish(false)
    if (isReloadAsked) link.onMessage({ type: 'reload' })
    send({ type: 'ready', url: running.url, facts: running.facts })
  } catch (error) {
    if (stopping.signal.aborted) process.exit(0)
    log.error((error as Error).message)
    process.exit(1)
  }
}

interface Greeted {
  boot: Boot
  /** Has all further messages of the parent handled, also those that are there already. */
  listen(handle: (message: ToWorker) => void): void
}

/** Tells the parent that this process listens to it, and resolves with what it needs to start. */
function hello(): Promise<Greeted> {
  return new Promise((resolve) => {
    const early: ToWorker[] = []
    let take = (message: ToWorker) => {
      // Another worker could not start.
      if (message.type === 'stop') process.exit(0)
      early.push(message)
    }
    const listen: Greeted['listen'] = (handle) => {
      take = handle
      for (const message of early) handle(message)
    }
    process.on('message', (message: ToWorker) => {
      if (message.type === 'boot') resolve({ boot: message, listen })
      else take(message)
    })
    send({ type: 'hello' })
  })
}

/** Sends to the parent. What cannot be sent concerns nobody: the parent has ended, and so does this. */
function send(message: ToParent): void {
  if (process.connected) process.send!(message, undefined, undefined, () => {})
}

/** The output that the parent writes on; it knows whether that is a terminal. */
function target({ isTerminal }: Boot) {
  return { write: (text: string) => process.stdout.write(text), isTTY: isTerminal }
}

/** The parent has told what changes: here that is worth a line for developers alone. */
function reload(settings: Settings, running: RunningGateway, workers: number, log: Log): void {
  const divided = { reload: (config: Config) => running.reload(dividedSettings(config, workers)) }
  const quiet = { ...log, info: log.debug, warn: log.debug }
  try {
    reloadSettings(settings, divided, quiet)
  } catch (error) {
    log.error(`The reload failed: ${(error as Error).message}`)
  }
}
